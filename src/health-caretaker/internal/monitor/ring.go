package monitor

import (
	"slices"

	"github.com/sealift/health-caretaker/internal/probe"
)

// ring keeps the last results. It grows as they come: most endpoints of many never fill a large one.
type ring struct {
	size  int
	items []probe.Result
	next  int // the oldest, once it is full
}

func (r *ring) add(result probe.Result) {
	if len(r.items) < r.size {
		r.items = append(r.items, result)
		return
	}
	r.items[r.next] = result
	r.next = (r.next + 1) % r.size
}

// all gives the results, oldest first.
func (r *ring) all() []probe.Result {
	return append(append([]probe.Result{}, r.items[r.next:]...), r.items[:r.next]...)
}

func (r *ring) resize(size int) {
	if size == r.size {
		return
	}
	items := r.all()
	*r = ring{size: size, items: slices.Clone(items[max(0, len(items)-size):])}
}

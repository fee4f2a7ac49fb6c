package monitor

import (
	"context"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/sealift/health-caretaker/internal/config"
	"github.com/sealift/health-caretaker/internal/probe"
)

// State is how an endpoint is.
type State string

// The states. Unknown holds until the first threshold is reached.
const (
	Unknown State = "unknown"
	Up      State = "up"
	Down    State = "down"
)

// View is an endpoint as others see it: without its headers and body, which may be secret.
type View struct {
	Name            string            `json:"name"`
	URL             string            `json:"url"`
	Method          string            `json:"method"`
	Labels          map[string]string `json:"labels"`
	IntervalSeconds float64           `json:"interval_seconds"`
	TimeoutSeconds  float64           `json:"timeout_seconds"`
	State           State             `json:"state"`
	Since           time.Time         `json:"since"`
	Last            *probe.Result     `json:"last"`
	CertificateEnd  *time.Time        `json:"certificate_end,omitempty"`
	CertificateDays *float64          `json:"certificate_days,omitempty"`
}

type watch struct {
	alive context.Context
	end   context.CancelFunc
	turn  chan struct{} // held by the one check that runs

	mu       sync.Mutex
	timer    *time.Timer // of the next check
	updated  bool        // the next check is soon, since the definition is a new one
	endpoint config.Endpoint
	address  string // its URL without secrets
	state    State
	since    time.Time
	streak   int // equal results in a row
	last     *probe.Result
	certEnd  time.Time
	ring     ring
	checks   map[string]uint64
	changes  map[State]uint64
}

func newWatch(parent context.Context, e config.Endpoint, history int) *watch {
	alive, end := context.WithCancel(parent)
	return &watch{
		alive: alive, end: end, turn: make(chan struct{}, 1),
		endpoint: e, address: e.Address(), state: Unknown, since: time.Now(), ring: ring{size: history},
		checks: map[string]uint64{}, changes: map[State]uint64{},
	}
}

func (w *watch) start(first time.Duration, check func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(first, check)
}

// begin notes that a check runs, unless the watch has ended: who ends all watches can then wait for the checks.
func (w *watch) begin(running *sync.WaitGroup) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.alive.Err() != nil {
		return false
	}
	w.updated = false
	running.Add(1)
	return true
}

// again sets the time of the next check.
func (w *watch) again(after time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.alive.Err() == nil && !w.updated {
		w.timer.Reset(after)
	}
}

// stop ends the watch. A check that is under way is finished.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end()
	w.timer.Stop()
}

func (w *watch) definition() config.Endpoint {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.endpoint
}

// update takes a new definition and has it checked soon, if it differs.
func (w *watch) update(e config.Endpoint, history int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ring.resize(history)
	if reflect.DeepEqual(w.endpoint, e) {
		return
	}
	if w.endpoint.URL != e.URL || w.endpoint.ServerName != e.ServerName {
		w.certEnd = time.Time{}
	}
	w.endpoint, w.address, w.updated = e, e.Address(), true
	w.timer.Reset(firstDelay(time.Second, 1))
}

// record remembers a result and moves the state when enough equal ones came in a row.
func (w *watch) record(result probe.Result) (from, to State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last != nil && w.last.OK() == result.OK() {
		w.streak++
	} else {
		w.streak = 1
	}
	w.last = &result
	w.ring.add(result)
	if !result.CertEnd.IsZero() {
		w.certEnd = result.CertEnd
	}
	w.checks[result.Kind]++
	from, to = w.state, Down
	needed := w.endpoint.FailuresToDown
	if result.OK() {
		to, needed = Up, w.endpoint.SuccessesToUp
	}
	if from == to || w.streak < needed {
		return from, from
	}
	w.state, w.since = to, result.At
	w.changes[to]++
	return from, to
}

func (w *watch) currentState() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

func (w *watch) results() []probe.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ring.all()
}

func (w *watch) totals() (checks map[string]uint64, changes map[State]uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.checks), maps.Clone(w.changes)
}

func (w *watch) view() View {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := View{
		Name: w.endpoint.Name, URL: w.address, Method: w.endpoint.Method,
		Labels: w.endpoint.Labels, IntervalSeconds: w.endpoint.Interval.Seconds(),
		TimeoutSeconds: w.endpoint.Timeout.Seconds(),
		State:          w.state, Since: w.since, Last: w.last,
	}
	if v.Labels == nil {
		v.Labels = map[string]string{}
	}
	if end := w.certEnd; !end.IsZero() {
		days := time.Until(end).Hours() / 24
		v.CertificateEnd, v.CertificateDays = &end, &days
	}
	return v
}

package web

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	gather  = 200 * time.Millisecond // changes that come close together go out as one message
	backlog = 16                     // messages a client may be behind; three seconds at least
	goodbye = 500 * time.Millisecond // how long a client has to close its side when the service ends
)

// Hub tells every client what has changed. It never waits for one of them.
type Hub struct {
	snapshot func() []byte
	changes  func(names []string) []byte
	log      *slog.Logger
	wake     chan struct{}
	present  sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	clients map[*client]struct{}
	names   map[string]struct{} // what changed since the last message
	whole   bool                // everything did
	dropped uint64
}

type client struct {
	messages chan []byte
	drop     context.CancelFunc
}

func newHub(snapshot func() []byte, changes func([]string) []byte, log *slog.Logger) *Hub {
	return &Hub{
		snapshot: snapshot, changes: changes, log: log, wake: make(chan struct{}, 1),
		clients: map[*client]struct{}{}, names: map[string]struct{}{},
	}
}

// Changed notes that an endpoint has news.
func (h *Hub) Changed(name string) { h.note(func() { h.names[name] = struct{}{} }) }

// Reset notes that everybody needs a new snapshot.
func (h *Hub) Reset() { h.note(func() { h.whole = true }) }

func (h *Hub) note(news func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.clients) == 0 {
		return // whoever comes gets a snapshot
	}
	news()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// Run sends until the context ends, then takes leave of everybody.
func (h *Hub) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			h.close()
			h.present.Wait()
			return
		case <-h.wake:
			select {
			case <-ctx.Done():
			case <-time.After(gather):
				h.flush()
			}
		}
	}
}

func (h *Hub) flush() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.clients) == 0 || (!h.whole && len(h.names) == 0) {
		return
	}
	var message []byte
	if h.whole {
		message = h.snapshot()
	} else {
		message = h.changes(slices.Sorted(maps.Keys(h.names)))
	}
	h.whole = false
	clear(h.names)
	for c := range h.clients {
		select {
		case c.messages <- message:
		default:
			h.cut(c)
			c.drop()
		}
	}
}

func (h *Hub) cut(c *client) {
	h.dropped++
	h.log.Info("a WebSocket client is dropped, it does not keep up")
	delete(h.clients, c)
}

// join adds a client, with a snapshot as its first message. Nothing can come between the two.
func (h *Hub) join(drop context.CancelFunc) (c *client, leave func(slow bool)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c = &client{messages: make(chan []byte, backlog), drop: drop}
	if h.closed {
		drop()
		return c, func(bool) {}
	}
	c.messages <- h.snapshot()
	h.clients[c] = struct{}{}
	h.present.Add(1)
	return c, func(slow bool) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if _, here := h.clients[c]; here && slow {
			h.cut(c)
		}
		delete(h.clients, c)
		h.present.Done()
	}
}

func (h *Hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for c := range h.clients {
		delete(h.clients, c)
		close(c.messages)
		time.AfterFunc(goodbye, c.drop)
	}
}

// Counts says how many clients are connected, and how many were dropped so far.
func (h *Hub) Counts() (clients int, dropped uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.clients), h.dropped
}

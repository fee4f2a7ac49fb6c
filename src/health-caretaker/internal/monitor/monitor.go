// Package monitor checks every endpoint on its interval and remembers how it is.
package monitor

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealift/health-caretaker/internal/config"
	"github.com/sealift/health-caretaker/internal/probe"
)

// What can stop a request for one endpoint.
var (
	ErrUnknown = errors.New("no endpoint has this name")
	ErrBusy    = errors.New("too many checks are under way; try again soon")
)

// Checker asks one endpoint once.
type Checker interface {
	Check(ctx context.Context, e config.Endpoint) probe.Result
}

// Monitor watches endpoints. Each has a timer of its own; slots bound how many ask at once.
type Monitor struct {
	checker Checker
	log     *slog.Logger
	slots   chan struct{}
	alive   context.Context
	end     context.CancelFunc
	running sync.WaitGroup
	ready   atomic.Bool

	mu      sync.RWMutex
	watches map[string]*watch
	order   []string
	changed func(name string)
}

// New makes a Monitor that asks at most atOnce endpoints at the same time.
func New(checker Checker, atOnce int, log *slog.Logger) *Monitor {
	alive, end := context.WithCancel(context.Background())
	return &Monitor{
		checker: checker, log: log, slots: make(chan struct{}, atOnce), alive: alive, end: end,
		watches: map[string]*watch{}, changed: func(string) {},
	}
}

// OnChange names the one who is told after each check. Call it before Apply.
func (m *Monitor) OnChange(tell func(name string)) { m.changed = tell }

// Apply takes a configuration over. An endpoint that stays keeps its state and history,
// and a check that is under way is finished.
func (m *Monitor) Apply(c config.Config) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.watches
	m.watches, m.order = map[string]*watch{}, nil
	for _, e := range c.Endpoints {
		w, known := before[e.Name]
		if known {
			delete(before, e.Name)
			w.update(e, c.History)
		} else {
			w = newWatch(m.alive, e, c.History)
			m.follow(w, firstDelay(e.Interval, len(c.Endpoints)))
		}
		m.watches[e.Name] = w
		m.order = append(m.order, e.Name)
	}
	for _, gone := range before {
		gone.stop()
	}
	slices.Sort(m.order)
}

// Interrupt ends all checks. Stop also waits for them.
func (m *Monitor) Interrupt() { m.end() }

// Stop ends all checks and waits for them.
func (m *Monitor) Stop() {
	m.end()
	m.mu.RLock()
	for _, w := range m.watches {
		w.stop()
	}
	m.mu.RUnlock()
	m.running.Wait()
}

// firstDelay spreads the first round, so that a thousand endpoints are not asked in one moment.
func firstDelay(interval time.Duration, endpoints int) time.Duration {
	return rand.N(min(interval, time.Duration(endpoints)*10*time.Millisecond) + 1)
}

// jittered is the interval, up to a tenth shorter or longer.
func jittered(interval time.Duration) time.Duration {
	return interval - interval/10 + rand.N(interval/5+1)
}

// follow checks an endpoint again and again. A timer starts each check, not a goroutine that sleeps in between:
// the stacks of a thousand of them would grow for every check and be shrunk after it.
func (m *Monitor) follow(w *watch, first time.Duration) {
	w.start(first, func() {
		if !w.begin(&m.running) {
			return
		}
		defer m.running.Done()
		next := time.Now().Add(jittered(w.definition().Interval))
		m.check(w.alive, w)
		w.again(time.Until(next))
	})
}

// check waits for its turn and a slot with wait, but asks with the Monitor's own life:
// a check that has begun is finished even where its endpoint or its caller has gone.
func (m *Monitor) check(wait context.Context, w *watch) bool {
	for _, gate := range []chan struct{}{w.turn, m.slots} {
		select {
		case gate <- struct{}{}:
			defer func() { <-gate }()
		case <-wait.Done():
			return false
		}
	}
	e := w.definition()
	result := m.checker.Check(m.alive, e)
	if m.alive.Err() != nil {
		return false
	}
	if from, to := w.record(result); from != to {
		m.log.Info("state changed", "endpoint", e.Name, "from", from, "to", to, "error", result.Error)
	}
	m.changed(e.Name)
	return true
}

// CheckNow asks an endpoint out of turn, unless no slot comes free before the context ends.
func (m *Monitor) CheckNow(ctx context.Context, name string) (View, error) {
	w, err := m.find(name)
	if err != nil {
		return View{}, err
	}
	if !m.check(ctx, w) {
		return View{}, ErrBusy
	}
	return w.view(), nil
}

func (m *Monitor) find(name string) (*watch, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if w, ok := m.watches[name]; ok {
		return w, nil
	}
	return nil, ErrUnknown
}

// Endpoint is how one endpoint is.
func (m *Monitor) Endpoint(name string) (View, error) {
	w, err := m.find(name)
	if err != nil {
		return View{}, err
	}
	return w.view(), nil
}

// Endpoints is how all of them are, by name.
func (m *Monitor) Endpoints() []View {
	m.mu.RLock()
	defer m.mu.RUnlock()
	views := make([]View, len(m.order))
	for i, name := range m.order {
		views[i] = m.watches[name].view()
	}
	return views
}

// Counts says how many endpoints are in each state.
func (m *Monitor) Counts() map[State]int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	counts := map[State]int{Up: 0, Down: 0, Unknown: 0}
	for _, w := range m.watches {
		counts[w.currentState()]++
	}
	return counts
}

// History is the last results of an endpoint, oldest first.
func (m *Monitor) History(name string) ([]probe.Result, error) {
	w, err := m.find(name)
	if err != nil {
		return nil, err
	}
	return w.results(), nil
}

// Totals counts the checks of an endpoint by their result, and its changes by the state they led to.
func (m *Monitor) Totals(name string) (checks map[string]uint64, changes map[State]uint64) {
	w, err := m.find(name)
	if err != nil {
		return nil, nil
	}
	return w.totals()
}

// Ready says whether the first round is done. It stays true when a reload adds endpoints.
func (m *Monitor) Ready() bool {
	if m.ready.Load() {
		return true
	}
	for _, v := range m.Endpoints() {
		if v.Last == nil {
			return false
		}
	}
	m.ready.Store(true)
	return true
}

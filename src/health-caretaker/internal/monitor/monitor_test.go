package monitor

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sealift/health-caretaker/internal/config"
	"github.com/sealift/health-caretaker/internal/probe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake answers after some time, and counts.
type fake struct {
	takes time.Duration

	mu     sync.Mutex
	asked  map[string]int
	now    int
	atOnce int
	broken bool
}

func (f *fake) Check(ctx context.Context, e config.Endpoint) probe.Result {
	f.mu.Lock()
	if f.asked == nil {
		f.asked = map[string]int{}
	}
	f.asked[e.Name]++
	f.now++
	f.atOnce = max(f.atOnce, f.now)
	result := probe.Result{At: time.Now(), Kind: probe.OK}
	if f.broken {
		result.Kind, result.Error = probe.Connect, "broken"
	}
	takes := f.takes
	f.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now--
	return result
}

func watching(endpoints int, interval time.Duration) config.Config {
	c := config.Default()
	for i := range endpoints {
		c.Endpoints = append(c.Endpoints, config.Endpoint{
			Name: "e" + strconv.Itoa(i), URL: "http://user:secret@a/b?token=secret", Interval: interval, Timeout: interval,
			FailuresToDown: 1, SuccessesToUp: 1,
		})
	}
	return c
}

func start(t *testing.T, f *fake, c config.Config) *Monitor {
	t.Helper()
	m := New(f, c.MaxConcurrent, slog.New(slog.DiscardHandler))
	t.Cleanup(m.Stop)
	m.Apply(c)
	return m
}

func TestAThousandEndpointsAreAskedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{takes: 50 * time.Millisecond}
		c := watching(1000, 10*time.Second)
		c.MaxConcurrent = 20
		m := start(t, f, c)
		if m.Ready() {
			t.Error("ready before the first round")
		}
		time.Sleep(11 * time.Second)
		if !m.Ready() || m.Counts()[Up] != 1000 {
			t.Errorf("after the first round: ready %v, %v", m.Ready(), m.Counts())
		}
		time.Sleep(10 * time.Minute)
		m.Stop()
		if f.atOnce > 20 || f.atOnce < 2 {
			t.Errorf("%d at once", f.atOnce)
		}
		for name, asked := range f.asked {
			if asked < 58 || asked > 65 {
				t.Errorf("%s was asked %d times in ten minutes", name, asked)
			}
		}
	})
}

func TestJitterStaysWithinATenth(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 1000 {
		d := jittered(10 * time.Second)
		if d < 9*time.Second || d > 11*time.Second {
			t.Fatalf("jittered to %v", d)
		}
		seen[d] = true
	}
	if len(seen) < 900 {
		t.Errorf("%d different intervals of 1000", len(seen))
	}
}

func TestThresholds(t *testing.T) {
	for _, test := range []struct {
		results string // a letter each: g for good, b for bad
		states  string // u for up, d for down, - for unknown
	}{
		{"ggg", "-uu"},
		{"bbb", "--d"},
		{"bbgg", "---u"},
		{"ggbbgbbb", "-uuuuuud"},
		{"bbbgbgg", "--ddddu"},
	} {
		e := config.Endpoint{Name: "a", FailuresToDown: 3, SuccessesToUp: 2}
		w := newWatch(t.Context(), e, 5)
		letters := map[State]string{Up: "u", Down: "d", Unknown: "-"}
		said := ""
		for i, letter := range test.results {
			result := probe.Result{At: time.Unix(int64(i), 0), Kind: probe.OK}
			if letter == 'b' {
				result.Kind = probe.Status
			}
			if from, to := w.record(result); from != to && !w.view().Since.Equal(result.At) {
				t.Errorf("%s: %s since %v", test.results, to, w.view().Since)
			}
			said += letters[w.view().State]
		}
		if said != test.states {
			t.Errorf("%s led to %s, not to %s", test.results, said, test.states)
		}
	}
}

func TestTheRingKeepsTheLastResults(t *testing.T) {
	times := func(r *ring) (seconds []int64) {
		for _, result := range r.all() {
			seconds = append(seconds, result.At.Unix())
		}
		return seconds
	}
	r := &ring{size: 3}
	if r.all() == nil {
		t.Error("no results are nil, which is null in JSON")
	}
	for i := range int64(5) {
		r.add(probe.Result{At: time.Unix(i, 0)})
	}
	for _, step := range []struct {
		size int
		want []int64
	}{{3, []int64{2, 3, 4}}, {2, []int64{3, 4}}, {4, []int64{3, 4}}} {
		r.resize(step.size)
		if got := times(r); !reflect.DeepEqual(got, step.want) {
			t.Errorf("resized to %d: %v", step.size, got)
		}
	}
	for i := range int64(3) {
		r.add(probe.Result{At: time.Unix(10+i, 0)})
	}
	if got := times(r); !reflect.DeepEqual(got, []int64{4, 10, 11, 12}) {
		t.Errorf("after growing: %v", got)
	}
}

func TestAReloadKeepsWhatStaysAndForgetsWhatGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, &fake{}, watching(2, time.Second))
		time.Sleep(5 * time.Second)
		c := watching(1, time.Second)
		c.Endpoints = append(c.Endpoints, config.Endpoint{Name: "new", Interval: time.Hour, FailuresToDown: 1, SuccessesToUp: 1})
		c.History = 2
		m.Apply(c)
		time.Sleep(time.Second)
		if views := m.Endpoints(); len(views) != 2 || views[0].Name != "e0" || views[1].Name != "new" || views[1].State != Up {
			t.Errorf("watching %+v", views)
		}
		if results, err := m.History("e0"); err != nil || len(results) != 2 {
			t.Errorf("%d results kept, %v", len(results), err)
		}
		if _, err := m.Endpoint("e1"); !errors.Is(err, ErrUnknown) {
			t.Errorf("e1 is still there: %v", err)
		}
		if !m.Ready() {
			t.Error("a reload takes the readiness away")
		}
	})
}

func TestTheNextCheckOfAWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running sync.WaitGroup
		var begun atomic.Int64
		w := newWatch(t.Context(), config.Endpoint{Name: "a"}, 5)
		w.start(time.Hour, func() {
			if w.begin(&running) {
				begun.Add(1)
				running.Done()
			}
		})
		after := func(wait time.Duration, want int64, what string) {
			t.Helper()
			time.Sleep(wait)
			synctest.Wait()
			if got := begun.Load(); got != want {
				t.Errorf("%s: begun %d times, not %d", what, got, want)
			}
		}
		after(time.Hour, 1, "the first")
		w.again(time.Hour)
		w.update(config.Endpoint{Name: "a", Body: "another"}, 5)
		after(time.Second, 2, "with a new definition")
		w.update(config.Endpoint{Name: "a", Body: "a third"}, 5)
		w.again(time.Hour) // a check with the second ends
		after(time.Second, 3, "with a definition that came while a check ran")
		w.again(time.Hour)
		w.stop()
		w.again(time.Hour)
		after(2*time.Hour, 3, "after the end")
	})
}

func TestCheckNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{takes: 10 * time.Second}
		c := watching(2, time.Hour)
		c.MaxConcurrent = 1
		m := start(t, f, c)
		synctest.Wait()
		time.Sleep(time.Second) // one of the two has begun
		hurried, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.CheckNow(hurried, "e0"); !errors.Is(err, ErrBusy) {
			t.Errorf("without a slot: %v", err)
		}
		if _, err := m.CheckNow(t.Context(), "nobody"); !errors.Is(err, ErrUnknown) {
			t.Errorf("for an unknown name: %v", err)
		}
		time.Sleep(time.Minute)
		f.mu.Lock()
		f.broken = true
		f.mu.Unlock()
		view, err := m.CheckNow(t.Context(), "e1")
		if err != nil || view.State != Down || view.Last.Error != "broken" {
			t.Errorf("asked out of turn: %+v, %v", view, err)
		}
		if _, changes := m.Totals("e1"); changes[Up] != 1 || changes[Down] != 1 {
			t.Errorf("changes of state: %v", changes)
		}
	})
}

func TestSecretsAreNotShown(t *testing.T) {
	m := start(t, &fake{}, watching(1, time.Hour))
	view, err := m.Endpoint("e0")
	if want := "http://user:xxxxx@a/b?token=xxxxx"; err != nil || view.URL != want {
		t.Errorf("shown as %s", view.URL)
	}
}

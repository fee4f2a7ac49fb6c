package metrics

import (
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/sealift/health-caretaker/internal/config"
	"github.com/sealift/health-caretaker/internal/monitor"
	"github.com/sealift/health-caretaker/internal/probe"
	"github.com/sealift/health-caretaker/internal/version"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type scripted map[string]probe.Result

func (s scripted) Check(_ context.Context, e config.Endpoint) probe.Result { return s[e.Name] }

func sources(t *testing.T) Sources {
	t.Helper()
	phases := probe.Phases{
		DNS: time.Millisecond, Connect: 2 * time.Millisecond, TLS: 3 * time.Millisecond,
		FirstByte: 4 * time.Millisecond, Total: 20 * time.Millisecond,
	}
	checks := monitor.New(scripted{
		"good": {At: time.Now(), Kind: probe.OK, Phases: phases, CertEnd: time.Unix(2_000_000_000, 0)},
		"bad":  {At: time.Now(), Kind: probe.Status, Error: "answered 500", Phases: phases},
		"new":  {At: time.Now(), Kind: probe.OK},
	}, 5, slog.New(slog.DiscardHandler))
	t.Cleanup(checks.Stop)
	c := config.Default()
	for name, needed := range map[string]int{"good": 1, "bad": 1, "new": 2} {
		c.Endpoints = append(c.Endpoints, config.Endpoint{
			Name: name, Interval: time.Hour, FailuresToDown: 1, SuccessesToUp: needed,
		})
	}
	checks.Apply(c)
	for deadline := time.Now().Add(5 * time.Second); !checks.Ready(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no first round within 5 s")
		}
	}
	return Sources{
		Monitor: checks,
		Config: func() config.Status {
			return config.Status{Valid: false, LoadedAt: time.UnixMilli(1500), Reloads: 3, Refusals: 2}
		},
		Sockets: func() (int, uint64) { return 7, 1 },
		Info:    version.Info{Version: "1.2.3", Commit: "abc", Go: "go1"},
	}
}

func TestWhatIsTold(t *testing.T) {
	recorder := httptest.NewRecorder()
	Handler(sources(t)).ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	answer, err := io.ReadAll(recorder.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	text := string(answer)
	for _, line := range strings.Split(strings.TrimSpace(`
build_info{commit="abc",go_version="go1",version="1.2.3"} 1
config_last_reload_success_timestamp_seconds 1.5
config_last_reload_successful 0
config_reloads_total{result="loaded"} 3
config_reloads_total{result="refused"} 2
endpoint_certificate_end_timestamp_seconds{endpoint="good"} 2e+09
endpoint_checks_total{endpoint="bad",result="ok"} 0
endpoint_checks_total{endpoint="bad",result="status"} 1
endpoint_checks_total{endpoint="good",result="ok"} 1
endpoint_duration_seconds{endpoint="good"} 0.02
endpoint_phase_duration_seconds{endpoint="good",phase="connect"} 0.002
endpoint_phase_duration_seconds{endpoint="good",phase="dns"} 0.001
endpoint_phase_duration_seconds{endpoint="good",phase="first_byte"} 0.004
endpoint_phase_duration_seconds{endpoint="good",phase="tls"} 0.003
endpoint_state_changes_total{endpoint="bad",to="down"} 1
endpoint_state_changes_total{endpoint="good",to="up"} 1
endpoint_up{endpoint="bad"} 0
endpoint_up{endpoint="good"} 1
websocket_clients 7
websocket_dropped_clients_total 1`), "\n") {
		if !strings.Contains(text, "\nhealth_caretaker_"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	for _, absent := range []string{`endpoint_up{endpoint="new"}`, `certificate_end_timestamp_seconds{endpoint="bad"}`} {
		if strings.Contains(text, absent) {
			t.Errorf("%s is told, and not known", absent)
		}
	}
	for _, own := range []string{"go_goroutines ", "process_resident_memory_bytes "} {
		if !strings.Contains(text, "\n"+own) {
			t.Errorf("nothing of the process itself: %s", own)
		}
	}
}

func TestNamesFollowTheConventions(t *testing.T) {
	problems, err := testutil.GatherAndLint(registry(sources(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

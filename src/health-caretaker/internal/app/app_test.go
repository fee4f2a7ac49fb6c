package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/sealift/health-caretaker/internal/version"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is the whole service on free ports.
type running struct {
	Options
	web, metrics string
	end          context.CancelFunc
	ended        chan error
}

func run(t *testing.T, content string, change ...func(*Options)) running {
	t.Helper()
	free := 0
	r := running{ended: make(chan error, 1), Options: Options{
		ConfigPath: filepath.Join(t.TempDir(), "config.json"), WebPort: &free, MetricsPort: &free,
		Info: version.Info{Version: "1.2.3"}, Log: slog.New(slog.DiscardHandler),
	}}
	if content != "" {
		r.configure(t, content)
	}
	for _, option := range change {
		option(&r.Options)
	}
	open := make(chan [2]net.Addr, 1)
	r.Listening = func(web, metrics net.Addr) { open <- [2]net.Addr{web, metrics} }
	var ctx context.Context
	ctx, r.end = context.WithCancel(t.Context())
	t.Cleanup(r.end)
	go func() { r.ended <- Run(ctx, r.Options) }()
	select {
	case ports := <-open:
		r.web = fmt.Sprintf("http://127.0.0.1:%d", ports[0].(*net.TCPAddr).Port)
		r.metrics = fmt.Sprintf("http://127.0.0.1:%d", ports[1].(*net.TCPAddr).Port)
	case err := <-r.ended:
		t.Fatal(err)
	}
	return r
}

func (r running) configure(t *testing.T, content string) {
	t.Helper()
	if err := os.WriteFile(r.ConfigPath+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(r.ConfigPath+".new", r.ConfigPath); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// until asks again until the answer contains a text.
func until(t *testing.T, url, want string) {
	t.Helper()
	var body string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if _, body = get(t, url); strings.Contains(body, want) {
			return
		}
	}
	t.Fatalf("%s does not say %s within 5 s: %s", url, want, body)
}

// stop ends the service and says how long that took.
func (r running) stop(t *testing.T) time.Duration {
	t.Helper()
	begun := time.Now()
	r.end()
	if err := <-r.ended; err != nil {
		t.Errorf("the end was not clean: %v", err)
	}
	return time.Since(begun)
}

func TestWithoutAConfigurationItIsReadyAtOnce(t *testing.T) {
	r := run(t, "")
	for _, path := range []string{"/healthz", "/readyz", "/"} {
		if status, body := get(t, r.web+path); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body := get(t, r.metrics+"/metrics"); status != http.StatusOK || !strings.Contains(body, `version="1.2.3"`) {
		t.Errorf("metrics: %d", status)
	}
	if took := r.stop(t); took >= patience { // nobody is there to wait for
		t.Errorf("the end took %v", took)
	}
}

func TestFromTheFileToTheMetrics(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer target.Close()
	r := run(t, `{"endpoints": [{"name": "a", "url": "`+target.URL+`", "interval": "1s"}]}`)
	until(t, r.web+"/readyz", `"ready"`)
	until(t, r.metrics+"/metrics", `endpoint_up{endpoint="a"} 1`)

	r.configure(t, `{"endpoints": [{"name": "a", "url": "here"}]}`)
	until(t, r.web+"/api/v1/status", `"error":"endpoints[0].url: must start with http:// or https://`)
	until(t, r.metrics+"/metrics", "config_last_reload_successful 0")
	until(t, r.metrics+"/metrics", `endpoint_up{endpoint="a"} 1`)

	r.configure(t, `{"endpoints": [{"name": "b", "url": "`+target.URL+`/b", "expect_status": 404}]}`)
	until(t, r.metrics+"/metrics", `endpoint_up{endpoint="b"} 0`)
	until(t, r.metrics+"/metrics", "config_last_reload_successful 1")
	if _, body := get(t, r.metrics+"/metrics"); strings.Contains(body, `endpoint="a"`) {
		t.Error("metrics of an endpoint that is gone")
	}
	r.stop(t)
}

func TestReadinessIsTheServicesOwnAndNotItsEndpoints(t *testing.T) {
	answer := make(chan struct{})
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-answer
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer target.Close()
	r := run(t, `{"endpoints": [{"name": "a", "url": "`+target.URL+`", "interval": "60s"}]}`)
	defer r.stop(t)
	says := func(want int, words string) {
		t.Helper()
		if status, body := get(t, r.web+"/readyz"); status != want || !strings.Contains(body, words) {
			t.Errorf("readiness: %d %s, not %d with %s", status, body, want, words)
		}
	}
	says(http.StatusServiceUnavailable, "the first round is under way")
	close(answer)
	until(t, r.web+"/readyz", `"ready"`)
	until(t, r.web+"/api/v1/status", `"down":1`)
	says(http.StatusOK, `{"status":"ready"}`)
	r.configure(t, `{"endpoint": []}`)
	until(t, r.web+"/api/v1/status", `"error":"endpoint: unknown field`)
	says(http.StatusOK, `"config":"the new file is refused, the old configuration stays"`)
}

func TestAReloadUnderLoadLosesNoCheck(t *testing.T) {
	var asked atomic.Int64
	var last sync.Map // the endpoints that were asked in the last round
	target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		asked.Add(1)
		if body, _ := io.ReadAll(request.Body); string(body) == "6" {
			last.Store(request.URL.Path, true)
		}
		time.Sleep(100 * time.Millisecond)
	}))
	defer target.Close()
	// Each round has another body, so that every endpoint is asked again soon.
	watching := func(round int, interval string) string {
		var endpoints []string
		for i := range 100 {
			endpoints = append(endpoints, fmt.Sprintf(`{"name": "e%d", "url": "%s/%d", "interval": %q, "body": "%d"}`,
				i, target.URL, i, interval, round))
		}
		return fmt.Sprintf(`{"endpoints": [%s]}`, strings.Join(endpoints, ","))
	}
	r := run(t, watching(0, "5s"))
	for round := 1; round <= 5; round++ {
		time.Sleep(50 * time.Millisecond) // while checks are under way
		r.configure(t, watching(round, "5s"))
		until(t, r.web+"/api/v1/status", fmt.Sprintf(`"reloads":%d,`, round))
	}
	r.configure(t, watching(6, "24h")) // one more check each, then silence
	until(t, r.web+"/api/v1/status", `"reloads":6,`)

	var arrived, counted int64
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(300 * time.Millisecond) {
		before := arrived
		arrived, counted = asked.Load(), r.goodChecks(t)
		if arrived == before && arrived == counted {
			break
		}
	}
	if arrived < 200 || arrived != counted {
		t.Errorf("%d checks arrived, %d are counted", arrived, counted)
	}
	reached := 0
	last.Range(func(any, any) bool { reached++; return true })
	if reached != 100 {
		t.Errorf("the last round reached %d of 100 endpoints", reached)
	}
	r.stop(t)
}

// goodChecks adds up what the metrics say.
func (r running) goodChecks(t *testing.T) (sum int64) {
	t.Helper()
	_, body := get(t, r.metrics+"/metrics")
	for _, found := range regexp.MustCompile(`checks_total{[^}]*result="ok"} (\d+)`).FindAllStringSubmatch(body, -1) {
		n, err := strconv.ParseInt(found[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

func TestTheEndWaitsForNobody(t *testing.T) {
	arrived, release := make(chan struct{}, 10), make(chan struct{})
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	}))
	defer target.Close()
	defer close(release)
	r := run(t, `{"endpoints": [{"name": "slow", "url": "`+target.URL+`", "interval": "60s", "timeout": "60s"}]}`)
	<-arrived // a check hangs
	conn, _, err := websocket.Dial(t.Context(), r.web+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	idle, err := net.Dial("tcp", strings.TrimPrefix(r.metrics, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if _, err := fmt.Fprint(idle, "GET /metrics HTTP/1.1\r\n"); err != nil { // half a request
		t.Fatal(err)
	}
	var waiting sync.WaitGroup
	defer waiting.Wait()
	waiting.Go(func() { // a request that waits for the check
		request, _ := http.NewRequest(http.MethodPost, r.web+"/api/v1/endpoints/slow/check", nil)
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
		if err == nil {
			response.Body.Close()
		}
	})
	time.Sleep(100 * time.Millisecond)
	if took := r.stop(t); took > 2*time.Second { // which is promised
		t.Errorf("the end took %v", took)
	}
}

func TestTheStartIsRefused(t *testing.T) {
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	busy, free := taken.Addr().(*net.TCPAddr).Port, 0
	bad := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(bad, []byte(`{"a": 1, "b": 2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path         string
		web, metrics int
		want         string
	}{
		{bad, free, free, "config.json is refused:\na: unknown field"},
		{"", busy, free, "the web port cannot be opened: "},
		{"", free, busy, "choose another with -metrics-port"},
	} {
		o := Options{ConfigPath: test.path, WebPort: &test.web, MetricsPort: &test.metrics, Log: slog.New(slog.DiscardHandler)}
		if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

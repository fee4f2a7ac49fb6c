package web

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sealift/health-caretaker/internal/config"
	"github.com/sealift/health-caretaker/internal/monitor"
	"github.com/sealift/health-caretaker/internal/probe"
	"github.com/sealift/health-caretaker/internal/version"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// switched answers well until it is broken.
type switched struct{ broken atomic.Bool }

func (s *switched) Check(context.Context, config.Endpoint) probe.Result {
	if s.broken.Load() {
		return probe.Result{At: time.Now(), Kind: probe.Connect, Error: "broken"}
	}
	return probe.Result{At: time.Now(), Kind: probe.OK, Status: 200, CertEnd: time.Now().Add(time.Hour)}
}

// service is a Server behind a real listener.
type service struct {
	*Server
	url     string
	path    string // of its configuration
	checker *switched
	end     context.CancelFunc
	ended   chan struct{}
}

func serve(t *testing.T, content string) service {
	t.Helper()
	s := service{path: filepath.Join(t.TempDir(), "config.json"), checker: &switched{}, ended: make(chan struct{})}
	if err := os.WriteFile(s.path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	keeper, err := config.NewKeeper(s.path, log)
	if err != nil {
		t.Fatal(err)
	}
	checks := monitor.New(s.checker, 100, log)
	s.Server = New(checks, keeper, version.Info{Version: "1.2.3", Commit: "abc"}, log)
	// A round is ready before its last change is told.
	var told atomic.Int64
	checks.OnChange(func(name string) { s.Hub.Changed(name); told.Add(1) })
	keeper.OnReload(func(c config.Config) { checks.Apply(c); s.Hub.Reset() })
	checks.Apply(keeper.Config())
	var ctx context.Context
	ctx, s.end = context.WithCancel(t.Context())
	go func() { defer close(s.ended); s.Hub.Run(ctx) }()
	listening := httptest.NewServer(s.Handler())
	s.url = listening.URL
	t.Cleanup(func() { s.end(); <-s.ended; listening.Close(); checks.Stop() })
	all := int64(len(keeper.Config().Endpoints))
	for deadline := time.Now().Add(5 * time.Second); !checks.Ready() || told.Load() < all; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no first round within 5 s")
		}
	}
	return s
}

// ask returns the answer with its body as JSON, as far as it is an object.
func (s service) ask(t *testing.T, method, path string, header ...string) (*http.Response, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(body, &object); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, body)
		}
	}
	return response, object
}

// at follows keys and the first items of lists.
func at(value any, path string) any {
	for _, key := range strings.Fields(path) {
		switch inner := value.(type) {
		case map[string]any:
			value = inner[key]
		case []any:
			if len(inner) == 0 {
				return nil
			}
			value = inner[0]
		}
	}
	return value
}

func TestTheAPI(t *testing.T) {
	s := serve(t, `{"endpoints": [
		{"name": "shop", "url": "http://shop", "interval": "1h", "labels": {"team": "a"}},
		{"name": "a b ü?", "url": "https://b", "interval": "1h"}]}`)
	for _, test := range []struct {
		method, path string
		status       int
		where        string
		want         any
	}{
		{"GET", "/healthz", 200, "status", "alive"},
		{"GET", "/readyz", 200, "status", "ready"},
		{"GET", "/api/v1/status", 200, "endpoints up", 2.0},
		{"GET", "/api/v1/status", 200, "config valid", true},
		{"GET", "/api/v1/status", 200, "version", "1.2.3"},
		{"GET", "/api/v1/endpoints", 200, "endpoints 0 name", "a b ü?"},
		{"GET", "/api/v1/endpoints/shop", 200, "labels team", "a"},
		{"GET", "/api/v1/endpoints/a%20b%20%C3%BC%3F", 200, "state", "up"},
		{"GET", "/api/v1/endpoints/nobody", 404, "error", "no endpoint has this name"},
		{"GET", "/api/v1/endpoints/shop/history", 200, "results 0 result", "ok"},
		{"GET", "/api/v1/endpoints/nobody/history", 404, "error", "no endpoint has this name"},
		{"POST", "/api/v1/endpoints/shop/check", 200, "last status", 200.0},
		{"POST", "/api/v1/endpoints/nobody/check", 404, "error", "no endpoint has this name"},
		{"GET", "/api/v1/endpoints/shop/check", 405, "", nil},
		{"DELETE", "/api/v1/endpoints/shop", 405, "", nil},
		{"GET", "/api/v1/openapi.json", 200, "openapi", "3.1.0"},
		{"GET", "/api/v1/other", 404, "", nil},
		{"GET", "/static/", 404, "", nil},
	} {
		response, object := s.ask(t, test.method, test.path)
		if got := at(object, test.where); response.StatusCode != test.status || (test.where != "" && got != test.want) {
			t.Errorf("%s %s: %d, %s is %v", test.method, test.path, response.StatusCode, test.where, got)
		}
	}
}

func TestAnotherSiteMayNotAskForChecks(t *testing.T) {
	s := serve(t, `{"allowed_origins": ["https://friend.example"], "endpoints": [
		{"name": "shop", "url": "http://shop", "interval": "1h"}]}`)
	for _, test := range []struct {
		header []string
		status int
	}{
		{nil, 200}, // a program
		{[]string{"Origin", s.url, "Sec-Fetch-Site", "same-origin"}, 200},
		{[]string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Origin", "https://evil.example"}, 403},
		{[]string{"Origin", "https://friend.example", "Sec-Fetch-Site", "cross-site"}, 200},
	} {
		if response, _ := s.ask(t, "POST", "/api/v1/endpoints/shop/check", test.header...); response.StatusCode != test.status {
			t.Errorf("%v: %s", test.header, response.Status)
		}
	}
}

func TestThePageNeedsNothingFromElsewhere(t *testing.T) {
	s := serve(t, `{}`)
	names := regexp.MustCompile(`(?:src|href)="([^"#]+)"|from "\./([^"]+)"`)
	seen := map[string]bool{"": true}
	for queue := []string{""}; len(queue) > 0; queue = queue[1:] {
		response, _ := s.ask(t, "GET", "/"+queue[0])
		if response.StatusCode != http.StatusOK || !strings.Contains(response.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("/%s: %s, %v", queue[0], response.Status, response.Header)
		}
		content, _ := embedded.ReadFile("static/" + queue[0])
		if queue[0] == "" {
			content, _ = embedded.ReadFile("static/index.html")
		}
		for _, match := range names.FindAllStringSubmatch(string(content), -1) {
			if name := match[1] + match[2]; !seen[name] {
				seen[name] = true
				queue = append(queue, name)
			}
		}
	}
	files, err := embedded.ReadDir("static")
	if err != nil || len(seen) < len(files) {
		t.Errorf("only %v are reached from the page, %v", seen, err)
	}
}

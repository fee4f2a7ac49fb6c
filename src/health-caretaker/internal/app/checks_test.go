package app

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The port comes from the file alone, as in a container that was given no flag and no WEB_PORT.
func TestHealthCheckFindsTheServiceAlsoAfterItRefusedAFile(t *testing.T) {
	port := strconv.Itoa(freePort(t))
	r := run(t, `{"web_port": `+port+`, "metrics_port": 0}`, func(o *Options) { o.WebPort, o.MetricsPort = nil, nil })
	ask := Options{ConfigPath: r.ConfigPath}
	if err := HealthCheck(t.Context(), ask); err != nil {
		t.Errorf("at the start: %v", err)
	}
	for content, refusal := range map[string]string{
		`{"web_port": ` + port + `, "endpoint": []}`:                                              "endpoint: unknown field",
		`{"endpoints": [{"name": "a", "labels": {"web_port": "1"}}], "web_port" : ` + port + `, `: "line 1: not JSON",
	} {
		r.configure(t, content)
		until(t, r.web+"/api/v1/status", `"error":"`+refusal)
		if err := HealthCheck(t.Context(), ask); err != nil {
			t.Errorf("after %s: %v", content, err)
		}
	}
	r.stop(t)
	number, _ := strconv.Atoi(port)
	if err := HealthCheck(t.Context(), Options{WebPort: &number}); err == nil || !strings.Contains(err.Error(), "not healthy") {
		t.Errorf("after the end: %v", err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func TestThePortsThatAHealthCheckTries(t *testing.T) {
	given, path := 7000, filepath.Join(t.TempDir(), "config.json")
	for _, test := range []struct {
		content string
		given   *int
		want    []int
	}{
		{`{}`, nil, []int{8080}},
		{`{"web_port": 9000}`, nil, []int{9000, 8080}}, // the service may have started before the file said so
		{`{"web_port": 9000, `, nil, []int{9000, 8080}},
		{`{"web_port": 90000}`, nil, []int{8080}},
		{`{"web_port": "9000"}`, nil, []int{8080}},
		{`{"web_port": 9000}`, &given, []int{7000}},
	} {
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := (Options{ConfigPath: path, WebPort: test.given}).candidates(); !slices.Equal(got, test.want) {
			t.Errorf("with %s: %v, not %v", test.content, got, test.want)
		}
	}
	if got := (Options{ConfigPath: path + ".gone"}).candidates(); !slices.Equal(got, []int{8080}) {
		t.Errorf("without a file: %v", got)
	}
}

func TestAStrangerOnThePortIsNotTheService(t *testing.T) {
	for status, want := range map[int]string{http.StatusOK: "another program", http.StatusNotFound: "404"} {
		stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprintln(w, `{"status": "ok"}`)
		}))
		defer stranger.Close()
		port := stranger.Listener.Addr().(*net.TCPAddr).Port
		if err := HealthCheck(t.Context(), Options{WebPort: &port}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("answered with %d: %v", status, err)
		}
	}
}

func TestCheckConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	for _, test := range []struct{ content, said, refusal string }{
		{"", "", "config.json is not there; name the file with -config"},
		{`{"endpoints": [{"name": "a", "url": "http://a"}]}`, "config.json is valid; endpoints: 1\n", ""},
		{`{"a": 1, "b": 2}`, "", "\nb: unknown field"},
	} {
		if test.content != "" {
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		err := CheckConfig(Options{ConfigPath: path}, &out)
		if !strings.HasSuffix(out.String(), test.said) || (test.refusal == "") != (err == nil) ||
			(err != nil && !strings.Contains(err.Error(), test.refusal)) {
			t.Errorf("%s: said %q, %v", test.content, out.String(), err)
		}
	}
}

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
	"strings"
	"testing"
)

func TestHealthCheck(t *testing.T) {
	r := run(t, "")
	var port int
	if _, err := fmt.Sscanf(r.web, "http://127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	ask := Options{ConfigPath: r.ConfigPath, WebPort: &port}
	if err := HealthCheck(t.Context(), ask); err != nil {
		t.Error(err)
	}
	r.configure(t, "{") // says nothing about the service, which runs on
	if err := HealthCheck(t.Context(), ask); err != nil {
		t.Error(err)
	}
	r.stop(t)
	if err := HealthCheck(t.Context(), ask); err == nil || !strings.Contains(err.Error(), "not healthy") {
		t.Errorf("after the end: %v", err)
	}
	ill := httptest.NewServer(http.NotFoundHandler())
	defer ill.Close()
	port = ill.Listener.Addr().(*net.TCPAddr).Port
	if err := HealthCheck(t.Context(), ask); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("of another service: %v", err)
	}
}

// The port comes from the file alone, as in a container that was given no flag and no WEB_PORT.
func TestHealthCheckFindsTheServiceAfterABadReload(t *testing.T) {
	r := run(t, "")
	defer r.stop(t)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(r.web, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	ask := Options{ConfigPath: r.ConfigPath}
	for _, content := range []string{
		`{"web_port": ` + port + `}`,
		`{"web_port": ` + port + `, "endpoint": []}`,
		`{"endpoints": [{"name": "a", "labels": {"web_port": "1"}}], "web_port" : ` + port + `, `,
	} {
		r.configure(t, content)
		if err := HealthCheck(t.Context(), ask); err != nil {
			t.Errorf("with %s: %v", content, err)
		}
	}
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
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `{"status": "ok"}`)
	}))
	defer stranger.Close()
	port := stranger.Listener.Addr().(*net.TCPAddr).Port
	err := HealthCheck(t.Context(), Options{WebPort: &port})
	if err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("healthy: %v", err)
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

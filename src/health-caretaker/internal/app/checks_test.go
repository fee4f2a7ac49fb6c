package app

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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

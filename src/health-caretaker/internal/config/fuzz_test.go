package config_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sealift/health-caretaker/internal/config"
	"github.com/sealift/health-caretaker/internal/probe"
)

// Whatever the file holds, it is refused in words, or every endpoint in it can be asked.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"web_port": 1, "metrics_port": 2, "max_concurrent": 3, "history": 4, "allowed_origins": ["https://a"],
		"endpoints": [{"name": "a", "url": "http://a", "method": "PUT", "headers": {"Host": "c"}, "body": "d", "interval": "1m",
		"timeout": 2.5, "expect_status": [200, "202-204", "4xx"], "expect_text": "e", "follow_redirects": false,
		"failures_to_down": 2, "successes_to_up": 3, "labels": {"f": "g"}}]}`))
	f.Add([]byte(`{"endpoints": [{"name": "a", "url": "http://a", "interval": 1, "headers": {"b": "\u0001"}}]}`))
	f.Add([]byte(`{"web_port": 1e3, "endpoints": [{"expect_status": ["2xx", "1-"]}, null], "a": {"b": [}`))
	f.Add([]byte(`{"endpoints": [{"name": "\ud800", "url": "https://[::1]:0/%zz", "timeout": "-9223372036854775808ns"}]}`))
	prober := probe.New("agent", nil)
	late, cancel := context.WithDeadline(f.Context(), time.Now())
	defer cancel()
	f.Fuzz(func(t *testing.T, content []byte) {
		read, err := config.Parse(content)
		if err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				if path, words, _ := strings.Cut(line, ": "); path == "" || words == "" {
					t.Errorf("refused without a field or a word: %q", line)
				}
			}
			return
		}
		names := map[string]bool{}
		for _, e := range read.Endpoints {
			if names[e.Name] || e.Name == "" || strings.Contains(e.Name, "/") {
				t.Errorf("accepted the name %q", e.Name)
			}
			names[e.Name] = true
			if e.Interval < time.Second || e.Timeout <= 0 || e.Timeout > e.Interval || len(e.ExpectStatus) == 0 {
				t.Errorf("accepted %v of %v, statuses %v", e.Timeout, e.Interval, e.ExpectStatus)
			}
			// Out of time before it begins, a check fails for nothing else, unless no request can be made at all.
			if r := prober.Check(late, e); r.Kind != probe.Timeout {
				t.Errorf("accepted %q %q %q, which cannot be asked: %s", e.Method, e.URL, e.Headers, r.Error)
			}
		}
	})
}

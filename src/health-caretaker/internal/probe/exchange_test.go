package probe

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sealift/health-caretaker/internal/config"
)

// noted is what a server was sent, in words.
func noted(r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	return fmt.Sprintf("%s %s %s %v %s", r.Method, r.Host, r.URL, r.Header, body)
}

func secretive(address string) config.Endpoint {
	e := endpoint(strings.Replace(address, "//", "//user:s3cret-word@", 1) + "/start?token=s3cret-query")
	e.Method, e.Body = "POST", "s3cret-body"
	e.Headers = map[string]string{"X-Api-Key": "s3cret-key", "Authorization": "s3cret-login", "Cookie": "s3cret-cookie",
		"User-Agent": "s3cret-agent", "Referer": "http://a/s3cret-referer", "Content-Type": "s3cret/type"}
	return e
}

func TestAnotherHostGetsNoSecretNorDoesWhatFollows(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		asked := make(chan string, 10)
		note := func(name string, next http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { asked <- name + " " + noted(r); next(w, r) }
		}
		var first, other *httptest.Server
		other = httptest.NewServer(note("other", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				http.Redirect(w, r, "/again", status)
				return
			}
			http.Redirect(w, r, first.URL+"/back", status)
		}))
		first = httptest.NewServer(note("first", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/start" {
				http.Redirect(w, r, other.URL, status)
			}
		}))
		r := New("agent/1", nil).Check(t.Context(), secretive(first.URL))
		first.Close()
		other.Close()
		close(asked)
		var got []string
		for words := range asked {
			got = append(got, words)
		}
		if !r.OK() || len(got) != 4 || strings.Count(got[0], "s3cret") < 8 {
			t.Fatalf("%d: %+v %q", status, r, got)
		}
		for _, words := range got[1:] {
			if strings.Contains(words, "s3cret") || strings.Contains(words, "Referer") || strings.Contains(words, "Basic") ||
				!strings.Contains(words, "agent/1") {
				t.Errorf("%d: sent along: %s", status, words)
			}
		}
	}
}

func TestTheSameHostGetsWhatIsConfigured(t *testing.T) {
	var got string
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/start" {
			http.Redirect(w, r, s.URL+"/end", http.StatusTemporaryRedirect)
			return
		}
		got = noted(r)
	}))
	defer s.Close()
	e := secretive(s.URL)
	delete(e.Headers, "Authorization")
	delete(e.Headers, "Referer")
	if r := New("agent/1", nil).Check(t.Context(), e); !r.OK() {
		t.Errorf("%+v", r)
	}
	for _, want := range []string{"s3cret-key", "s3cret-cookie", "s3cret-body", "Basic "} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in %s", want, got)
		}
	}
	if strings.Contains(got, "Referer") {
		t.Errorf("a Referer that is not configured: %s", got)
	}
}

func TestWhichRedirectsStay(t *testing.T) {
	for _, test := range []struct {
		from, to string
		want     bool
	}{
		{"https://a.example/x", "https://a.example/y", true},
		{"https://a.example", "https://A.example:443", true},
		{"http://a.example:80", "https://a.example", true},
		{"http://a.example:8080", "https://a.example:8443", false},
		{"http://a.example:8080", "https://a.example", false},
		{"https://a.example", "http://a.example", false},
		{"https://a.example", "http://a.example:443", false},
		{"https://a.example", "https://www.a.example", false},
		{"https://a.example", "https://a.example:8443", false},
		{"https://a.example", "https://a.example.", false},
		{"http://[::1]:1", "http://[::1]:1", true},
	} {
		from, _ := url.Parse(test.from)
		to, _ := url.Parse(test.to)
		if got := stays(from, to); got != test.want {
			t.Errorf("%s to %s: %v", test.from, test.to, got)
		}
	}
}

func TestTheServerNameIsNotThatOfAnotherHost(t *testing.T) {
	now := time.Now()
	other, pool := certified(t, "127.0.0.1", now.Add(-time.Hour), now.Add(time.Hour), http.NotFoundHandler())
	s, _ := certified(t, "shop.example", now.Add(-time.Hour), now.Add(time.Hour),
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }))
	pool.AddCert(s.Certificate())
	e := endpoint(s.URL)
	e.ServerName, e.ExpectStatus = "shop.example", config.Statuses{{From: 404, To: 404}}
	if r := New("agent/1", &tls.Config{RootCAs: pool}).Check(t.Context(), e); !r.OK() {
		t.Errorf("%+v", r)
	}
}

func TestErrorsRepeatNoSecret(t *testing.T) {
	for _, answer := range []string{
		"s3cret-query s3cret-key",
		"HTTP/1.1 s3cret-query s3cret-key\r\n\r\n",
		"HTTP/1.1 200 OK\r\ns3cret-query s3cret-key\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: s3cret-query\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: s3cret-query\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: http://s3cret-query%zz\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: s3cret-query://a\r\n\r\n",
	} {
		r := New("agent/1", nil).Check(t.Context(), secretive("http://"+speaking(t, answer)))
		if r.OK() || strings.Contains(r.Error, "s3cret") {
			t.Errorf("%q: %s: %s", answer, r.Kind, r.Error)
		}
	}
}

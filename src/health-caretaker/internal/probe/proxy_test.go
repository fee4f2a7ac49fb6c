package probe

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// through is a Prober that asks everything through one proxy.
func through(t *testing.T, proxy string, trust *tls.Config) *Prober {
	t.Helper()
	parsed, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	p := New("agent/1", trust)
	p.environment = http.ProxyURL(parsed)
	return p
}

// speaking is a server that answers each connection with a text, whatever it is asked, and closes it.
func speaking(t *testing.T, text string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String()
}

func TestAProxyThatFailsIsNamed(t *testing.T) {
	closed := speaking(t, "")
	answering := func(status string) string {
		return speaking(t, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
	}
	refusing := httptest.NewServer(nil)
	refusing.Close()
	refused := refusing.Listener.Addr().String()
	plain := speaking(t, "no TLS")
	for _, test := range []struct {
		target, scheme, proxy string
		kind, words           string
	}{
		{"http://192.0.2.1", "http", refused, Proxy, "cannot be reached: connection refused by " + refused},
		{"https://192.0.2.1", "http", refused, Proxy, "cannot be reached: connection refused by " + refused},
		{"http://192.0.2.1", "socks5", refused, Proxy, "cannot be reached: connection refused by " + refused},
		{"https://192.0.2.1", "https", refused, Proxy, "cannot be reached: connection refused by " + refused},
		{"https://192.0.2.1", "https", plain, Proxy, "cannot be reached: the server does not speak TLS on this port"},
		{"http://192.0.2.1", "http", "no..such..name:1", Proxy, "cannot be reached: no such host: no..such..name"},
		{"https://192.0.2.1", "http", answering("407 No"), Proxy, "answered CONNECT with 407 Proxy Authentication Required: it requires a login"},
		{"http://192.0.2.1", "http", answering("407 No"), Proxy, "answered 407 Proxy Authentication Required: it requires a login"},
		{"https://192.0.2.1", "http", answering("403 No"), Proxy, "answered CONNECT with 403 Forbidden"},
		{"https://192.0.2.1", "http", answering("502 No"), Proxy, "answered CONNECT with 502 Bad Gateway"},
		{"https://192.0.2.1", "http", answering("999"), Proxy, "answered CONNECT with 999"},
		{"https://192.0.2.1", "http", plain, Proxy, ": the answer is not valid HTTP"},
		{"https://192.0.2.1", "http", closed, Proxy, ": it closed the connection without a full answer"},
		{"http://192.0.2.1", "http", closed, Proxy, ": it closed the connection without a full answer"},
		{"http://192.0.2.1", "socks5", closed, Proxy, "does not connect to the endpoint: EOF"},
		{"http://192.0.2.1", "socks5", speaking(t, "\x05\xff"), Proxy, "does not connect to the endpoint: no acceptable authentication methods"},
		{"http://192.0.2.1", "http", answering("503 No"), Status, "answered 503 Service Unavailable, expected 200-299 (through the proxy http://"},
		{"http://192.0.2.1", "http", plain, HTTP, "the answer is not valid HTTP (through the proxy http://"},
	} {
		p := through(t, test.scheme+"://user:s3cret@"+test.proxy, nil)
		r := p.Check(t.Context(), endpoint(test.target+"/?token=t0ken"))
		name := "the proxy " + test.scheme + "://" + test.proxy
		if r.Kind != test.kind || !strings.Contains(r.Error, test.words) || !strings.Contains(r.Error, name) ||
			strings.Contains(r.Error, "nil") || strings.Contains(r.Error, "s3cret") || strings.Contains(r.Error, "t0ken") {
			t.Errorf("%s through %s://%s: %s: %s", test.target, test.scheme, test.proxy, r.Kind, r.Error)
		}
	}
}

func TestAProxyThatDoesNotAnswerIsNamed(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, test := range []struct{ target, scheme, words string }{
		{"https://192.0.2.1", "http", "the proxy http://%s: no answer within 200ms"},
		{"http://192.0.2.1", "https", "the proxy https://%s: no answer within 200ms"},
		{"http://192.0.2.1", "socks5", "the proxy socks5://%s: no answer within 200ms"},
		{"http://192.0.2.1", "http", "no answer within 200ms (waiting for: the first byte) (through the proxy http://%s)"},
	} {
		e := endpoint(test.target)
		e.Timeout = 200 * time.Millisecond
		r := through(t, test.scheme+"://"+silent.Addr().String(), nil).Check(t.Context(), e)
		if r.Kind != Timeout || !strings.HasPrefix(r.Error, fmt.Sprintf(test.words, silent.Addr())) {
			t.Errorf("%s by %s: %+v", test.target, test.scheme, r)
		}
	}
}

// forwarding is a proxy that does what it is asked, and notes how.
func forwarding(t *testing.T, asked chan<- string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- fmt.Sprintf("%s %s %v", r.Method, r.URL, r.Header)
		if r.Method != http.MethodConnect {
			fmt.Fprint(w, "from the proxy")
			return
		}
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		from, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
		_, _ = io.Copy(from, to)
		_ = from.Close()
	})
}

func TestAProxyThatSpeaksTLSAndHTTP2AndAnEndpointOfAnotherName(t *testing.T) {
	asked := make(chan string, 10)
	proxy := httptest.NewUnstartedServer(forwarding(t, asked))
	proxy.EnableHTTP2 = true
	proxy.StartTLS()
	defer proxy.Close()
	target, pool := certified(t, "shop.example", time.Now().Add(-time.Hour), time.Now().Add(time.Hour),
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.TLS.ServerName, " ", r.Header.Get("X-Api-Key"))
		}))
	pool.AddCert(proxy.Certificate())
	p := through(t, strings.Replace(proxy.URL, "//", "//user:s3cret@", 1), &tls.Config{RootCAs: pool})
	e := endpoint(target.URL)
	e.ServerName, e.Headers, e.ExpectText = "shop.example", map[string]string{"X-Api-Key": "k3y"}, "shop.example k3y"
	if r := p.Check(t.Context(), e); !r.OK() || r.CertEnd.IsZero() {
		t.Errorf("%+v", r)
	}
	if got := <-asked; !strings.HasPrefix(got, "CONNECT ") || strings.Contains(got, "k3y") || !strings.Contains(got, "Basic ") {
		t.Errorf("the proxy was asked %s", got)
	}
	plain := endpoint("http://192.0.2.1/")
	plain.ExpectText = "from the proxy"
	if r := p.Check(t.Context(), plain); !r.OK() {
		t.Errorf("plain HTTP: %+v", r)
	}

	p.trust.RootCAs = x509.NewCertPool()
	if r := p.Check(t.Context(), e); r.Kind != Proxy || !r.CertEnd.IsZero() ||
		!strings.HasSuffix(r.Error, "cannot be reached: the certificate is signed by an authority that is not trusted here") {
		t.Errorf("a proxy that is not trusted: %+v", r)
	}
	e.ServerName = "other.example"
	straight := New("agent/1", &tls.Config{RootCAs: pool})
	if r := straight.Check(t.Context(), e); r.Kind != TLS || r.Error != "the certificate is not for other.example" {
		t.Errorf("another server_name: %+v", r)
	}
}

func TestAnEndpointThatFailsBehindAProxyIsNotTheProxy(t *testing.T) {
	asked := make(chan string, 10)
	proxy := httptest.NewServer(forwarding(t, asked))
	defer proxy.Close()
	s, _ := certified(t, "127.0.0.1", time.Now().Add(-time.Hour), time.Now().Add(time.Hour), http.NotFoundHandler())
	r := through(t, proxy.URL, &tls.Config{RootCAs: x509.NewCertPool()}).Check(t.Context(), endpoint(s.URL))
	if r.Kind != TLS || r.Error != "the certificate is signed by an authority that is not trusted here (through the proxy "+proxy.URL+")" {
		t.Errorf("%+v", r)
	}
}

func TestAddressesOfProxies(t *testing.T) {
	for text, want := range map[string]string{
		"proxy.example.org:3128":         "",
		"proxy":                          "",
		"HTTP://proxy":                   "",
		"https://user:p%40ss@proxy:3128": "",
		"socks5h://[::1]:1080":           "",
		"http://":                        "names no host",
		"http://:3128":                   "names no host",
		"ftp://proxy":                    "starts with ftp://",
		"socks4://proxy":                 "starts with socks4://",
		"http://proxy:port":              "is not one such as",
		"http://proxy:70000":             "no port from 1",
		"http://user:p#s3cret@proxy:1":   "is not one such as",
		"http://[::1":                    "is not one such as",
		"two words":                      "is not one such as",
	} {
		why := badProxy(text)
		if (want == "") != (why == "") || !strings.Contains(why, want) || strings.Contains(why, "s3cret") {
			t.Errorf("%s: %q", text, why)
		}
	}
}

func TestWhereNoProxyCanBeChosen(t *testing.T) {
	p := New("agent/1", nil)
	p.environment = func(*http.Request) (*url.URL, error) { return nil, errors.New("why") }
	if r := p.Check(t.Context(), endpoint("http://192.0.2.1/")); r.Kind != Proxy || r.Error != "no proxy can be chosen: why" {
		t.Errorf("%+v", r)
	}
}

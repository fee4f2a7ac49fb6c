package probe

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sealift/health-caretaker/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers by path.
func server(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "all is well") })
	mux.HandleFunc("/teapot", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	mux.Handle("/moved", http.RedirectHandler("/ok", http.StatusFound))
	mux.Handle("/round", http.RedirectHandler("/round", http.StatusFound))
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s %s", r.Method, r.Host, r.UserAgent(), r.Header.Get("X-Key"), body)
	})
	mux.HandleFunc("/cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/half", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "half")
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/dribble", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func endpoint(url string) config.Endpoint {
	return config.Endpoint{
		URL: url, Method: "GET", Timeout: 5 * time.Second, FollowRedirects: true,
		ExpectStatus: config.Statuses{{From: 200, To: 299}},
	}
}

func TestResults(t *testing.T) {
	s := server(t)
	closed := httptest.NewServer(nil)
	closed.Close()
	quick := func(e *config.Endpoint) { e.Timeout = time.Second }
	text := func(want string) func(*config.Endpoint) {
		return func(e *config.Endpoint) { e.ExpectText = want }
	}
	for _, test := range []struct {
		url    string
		change func(*config.Endpoint)
		kind   string
		words  string
		status int
	}{
		{s.URL + "/ok", nil, OK, "", 200},
		{s.URL + "/ok", text("well"), OK, "", 200},
		{s.URL + "/ok", text("ill"), Text, `the answer does not contain "ill"`, 200},
		{s.URL + "/teapot", nil, Status, "answered 418 I'm a teapot, expected 200-299", 418},
		{s.URL + "/moved", text("well"), OK, "", 200},
		{s.URL + "/moved", func(e *config.Endpoint) { e.FollowRedirects = false }, Status, "answered 302 Found, ", 302},
		{s.URL + "/round", nil, HTTP, "stopped after 10 redirects", 0},
		{s.URL + "/cut", nil, HTTP, "the server closed the connection without a full answer", 0},
		{s.URL + "/half", text("whole"), HTTP, "the server closed the connection without a full answer", 200},
		{s.URL + "/slow", quick, Timeout, "no answer within 1s (waiting for: the first byte)", 0},
		{s.URL + "/dribble", func(e *config.Endpoint) { quick(e); text("x")(e) }, Timeout,
			"no answer within 1s (waiting for: the rest of the answer)", 200},
		{strings.Replace(s.URL, "http:", "https:", 1), nil, TLS, "the server does not speak TLS on this port", 0},
		{closed.URL, nil, Connect, "connection refused by 127.0.0.1:", 0},
		{"http://no..such..name/?token=secret", nil, DNS, "no such host: no..such..name", 0},
		{s.URL + "/echo", func(e *config.Endpoint) {
			e.Method, e.Body, e.Headers = "PUT", "hello", map[string]string{"host": "other.example", "X-Key": "k"}
			e.ExpectText = "PUT other.example agent/1 k hello"
		}, OK, "", 200},
	} {
		e := endpoint(test.url)
		if test.change != nil {
			test.change(&e)
		}
		r := New("agent/1", nil).Check(t.Context(), e)
		if r.Kind != test.kind || !strings.HasPrefix(r.Error, test.words) || r.Status != test.status || r.OK() != (r.Error == "") {
			t.Errorf("%s %+v: %+v", test.url, e, r)
		}
		if !slices.Contains(Kinds, r.Kind) || strings.Contains(r.Error, "secret") {
			t.Errorf("%s: kind %q, error %q", test.url, r.Kind, r.Error)
		}
	}
}

// certified serves TLS with a certificate of its own.
func certified(t *testing.T, host string, from, to time.Time, answer http.Handler) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to, DNSNames: []string{host},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(answer)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s, pool
}

func TestCertificates(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	day := 24 * time.Hour
	for _, test := range []struct {
		name     string
		host     string
		from, to time.Time
		trusted  bool
		change   func(*tls.Config)
		kind     string
		words    string
	}{
		{"good", "127.0.0.1", now.Add(-day), now.Add(9 * day), true, nil, OK, ""},
		{"another name", "other.example", now.Add(-day), now.Add(9 * day), true, nil, TLS, "the certificate is not for 127.0.0.1"},
		{"over", "127.0.0.1", now.Add(-9 * day), now.Add(-day), true, nil, TLS, "the certificate is valid from "},
		{"not trusted", "127.0.0.1", now.Add(-day), now.Add(9 * day), false, nil, TLS, "the certificate is signed by an authority"},
		{"no version in common", "127.0.0.1", now.Add(-day), now.Add(9 * day), true, func(c *tls.Config) {
			c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		}, TLS, "the TLS handshake failed: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, pool := certified(t, test.host, test.from, test.to, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			trust := &tls.Config{RootCAs: x509.NewCertPool()}
			if test.trusted {
				trust.RootCAs = pool
			}
			if test.change != nil {
				test.change(trust)
			}
			r := New("agent/1", trust).Check(t.Context(), endpoint(s.URL))
			if r.Kind != test.kind || !strings.HasPrefix(r.Error, test.words) {
				t.Errorf("%+v", r)
			}
			if handshook := test.change == nil; handshook != r.CertEnd.Equal(test.to) {
				t.Errorf("the certificate ends %v, told as %v", test.to, r.CertEnd)
			}
		})
	}
}

func TestAServerThatNeverSpeaksHoldsNothing(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if err := silent.(*net.TCPListener).SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"http", "https"} {
		e := endpoint(scheme + "://" + silent.Addr().String())
		e.Timeout = time.Second
		if r := New("agent/1", nil).Check(t.Context(), e); r.Kind != Timeout {
			t.Errorf("%s: %+v", scheme, r)
		}
		conn, err := silent.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("%s: the connection outlives its check: %v", scheme, err)
		}
	}
}

func TestSecretsAreKeptFromTomorrowsComputersToo(t *testing.T) {
	now := time.Now()
	s, pool := certified(t, "127.0.0.1", now.Add(-time.Hour), now.Add(time.Hour),
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "<%v>", r.TLS.CurveID) }))
	prober := New("agent/1", &tls.Config{RootCAs: pool})
	for _, test := range []struct {
		change func(*config.Endpoint)
		want   tls.CurveID
	}{
		{func(*config.Endpoint) {}, tls.X25519},
		{func(e *config.Endpoint) { e.Headers = map[string]string{"Authorization": "Bearer token"} }, tls.X25519MLKEM768},
		{func(e *config.Endpoint) { e.Body = "password=1" }, tls.X25519MLKEM768},
		{func(e *config.Endpoint) { e.URL += "/?token=1" }, tls.X25519MLKEM768},
		{func(e *config.Endpoint) { e.URL = strings.Replace(e.URL, "//", "//user:word@", 1) }, tls.X25519MLKEM768},
	} {
		e := endpoint(s.URL)
		e.ExpectText = fmt.Sprintf("<%v>", test.want)
		test.change(&e)
		if r := prober.Check(t.Context(), e); !r.OK() {
			t.Errorf("%+v: %+v", e, r)
		}
	}
}

func TestHTTP2IsSpokenWhereTheServerDoes(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	trust := &tls.Config{RootCAs: x509.NewCertPool()}
	trust.RootCAs.AddCert(s.Certificate())
	e := endpoint(s.URL)
	e.ExpectText = "HTTP/2.0"
	if r := New("agent/1", trust).Check(t.Context(), e); !r.OK() || r.Phases.TLS <= 0 || r.Phases.FirstByte <= 0 {
		t.Errorf("%+v", r)
	}
}

func TestPhasesAddUp(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(20 * time.Millisecond) }))
	defer plain.Close()
	s, pool := certified(t, "localhost", time.Now().Add(-time.Hour), time.Now().Add(time.Hour),
		http.RedirectHandler(plain.URL, http.StatusFound))
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	prober := New("agent/1", &tls.Config{RootCAs: pool})

	e := endpoint("https://localhost:" + port)
	e.FollowRedirects, e.ExpectStatus = false, config.Statuses{{From: 302, To: 302}}
	p := prober.Check(t.Context(), e).Phases
	if p.DNS <= 0 || p.Connect <= 0 || p.TLS <= 0 || p.FirstByte <= 0 || p.DNS+p.Connect+p.TLS+p.FirstByte > p.Total {
		t.Errorf("phases of one request: %+v", p)
	}
	p = prober.Check(t.Context(), endpoint("https://localhost:"+port)).Phases
	if p.TLS != 0 || p.DNS != 0 || p.FirstByte < 20*time.Millisecond || p.Total < p.FirstByte {
		t.Errorf("phases after a redirect to plain HTTP: %+v", p)
	}
}

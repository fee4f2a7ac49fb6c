// Package probe asks one endpoint once and says how it went.
package probe

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sealift/health-caretaker/internal/config"
)

const (
	maxBody = 1 << 20
	grace   = time.Second // a connection ends after its check, so that the check says what it waited for
)

// Result is one check.
type Result struct {
	At      time.Time `json:"at"`
	Kind    string    `json:"result"`          // "ok", or what failed: see Kinds
	Error   string    `json:"error,omitempty"` // in plain words; empty when ok
	Status  int       `json:"status,omitempty"`
	Phases  Phases    `json:"seconds"`
	CertEnd time.Time `json:"-"`
}

// OK says whether the endpoint answered as expected.
func (r Result) OK() bool { return r.Kind == OK }

// classical leaves out the key exchange that withstands quantum computers, which costs a tenth of a check.
var classical = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}

// Prober makes checks. Each uses a new connection and a full handshake, so that every phase is measured and
// the certificate is verified every time.
type Prober struct {
	plain, secret *http.Transport
	agent         string
}

// New makes a Prober that trusts the system's certificates, or those of trust.
func New(agent string, trust *tls.Config) *Prober {
	return &Prober{agent: agent, plain: transport(trust, classical), secret: transport(trust, nil)}
}

func transport(trust *tls.Config, curves []tls.CurveID) *http.Transport {
	settings := trust.Clone()
	if settings == nil {
		settings = &tls.Config{}
	}
	settings.CurvePreferences = curves
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial,
		TLSClientConfig:        settings,
		ForceAttemptHTTP2:      true, // settings of one's own would switch it off
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

type deadline struct{}

// dial makes a connection that ends with the check. Transport goes on with what a request began that was given up:
// servers that take connections and never speak would soon hold every file descriptor.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	until, _ := ctx.Value(deadline{}).(time.Time)
	conn, err := (&net.Dialer{Deadline: until, KeepAlive: -1}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(until); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// choose goes by what is sent: who asks with a token or a password wants it safe also from somebody who
// records it today and decrypts it in twenty years. What anybody may ask for needs no such care.
func (p *Prober) choose(u *url.URL, e config.Endpoint) *http.Transport {
	if len(e.Headers) > 0 || e.Body != "" || u.User != nil || u.RawQuery != "" {
		return p.secret
	}
	return p.plain
}

// Check asks an endpoint once.
func (p *Prober) Check(ctx context.Context, e config.Endpoint) Result {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	clock := newStopwatch()
	result := Result{At: clock.start}
	ctx = context.WithValue(ctx, deadline{}, clock.start.Add(e.Timeout+grace))
	response, err := p.send(clock.trace(ctx), e)
	if err == nil {
		defer response.Body.Close()
		result.Status = response.StatusCode
		result.Kind, result.Error, err = judge(response, e)
	}
	if err != nil {
		result.Kind, result.Error = explain(err, clock.waitingFor(), e.Timeout)
	}
	result.Phases = clock.stop()
	result.CertEnd = certEnd(response, err)
	return result
}

func (p *Prober) send(ctx context.Context, e config.Endpoint) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, e.Method, e.URL, strings.NewReader(e.Body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", p.agent)
	for name, value := range e.Headers {
		request.Header.Set(name, value)
		if strings.EqualFold(name, "Host") {
			request.Host = value
		}
	}
	client := http.Client{Transport: p.choose(request.URL, e)}
	if !e.FollowRedirects {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return client.Do(request)
}

func judge(response *http.Response, e config.Endpoint) (kind, words string, err error) {
	if !e.ExpectStatus.Contain(response.StatusCode) {
		return Status, fmt.Sprintf("answered %d %s, expected %s",
			response.StatusCode, http.StatusText(response.StatusCode), e.ExpectStatus), nil
	}
	if e.ExpectText == "" {
		return OK, "", nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return "", "", err
	}
	if !strings.Contains(string(body), e.ExpectText) {
		return Text, fmt.Sprintf("the answer does not contain %q", e.ExpectText), nil
	}
	return OK, "", nil
}

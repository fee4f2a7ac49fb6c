// Package probe asks one endpoint once and says how it went.
package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
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
	agent         string
	trust         *tls.Config
	environment   func(*http.Request) (*url.URL, error) // which proxy a request goes through
	plain, secret *http.Transport

	mu    sync.Mutex
	named map[transportKey]*http.Transport // for endpoints with a server_name
}

type transportKey struct {
	secret     bool
	serverName string
}

// New makes a Prober that trusts the system's certificates, or those of trust.
func New(agent string, trust *tls.Config) *Prober {
	wrongProxies()
	p := &Prober{agent: agent, trust: trust, environment: http.ProxyFromEnvironment, named: map[transportKey]*http.Transport{}}
	p.plain, p.secret = p.newTransport(classical, ""), p.newTransport(nil, "")
	return p
}

func (p *Prober) tls() *tls.Config {
	if p.trust == nil {
		return &tls.Config{}
	}
	return p.trust.Clone()
}

func (p *Prober) newTransport(curves []tls.CurveID, serverName string) *http.Transport {
	settings := p.tls()
	settings.CurvePreferences = curves
	if serverName != "" {
		settings.ServerName = serverName
	}
	return &http.Transport{
		Proxy:                  p.proxy,
		OnProxyConnectResponse: connected,
		DialContext:            p.dial,
		TLSClientConfig:        settings,
		ForceAttemptHTTP2:      true, // settings of one's own would switch it off
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// transport returns the transport for requests with or without secrets, and for a server_name. Transports are kept:
// a new one for each check would cost more than the check.
func (p *Prober) transport(secret bool, serverName string) *http.Transport {
	curves, transport := classical, p.plain
	if secret {
		curves, transport = nil, p.secret
	}
	if serverName == "" {
		return transport
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := transportKey{secret, serverName}
	transport, ok := p.named[key]
	if !ok {
		transport = p.newTransport(curves, serverName)
		p.named[key] = transport
	}
	return transport
}

// dial makes a connection that ends with the check. Transport goes on with what a request began that was given up:
// servers that take connections and never speak would soon hold every file descriptor.
func (p *Prober) dial(ctx context.Context, network, address string) (net.Conn, error) {
	x := exchangeOf(ctx)
	conn, err := (&net.Dialer{Deadline: x.until, KeepAlive: -1}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(x.until); err != nil {
		conn.Close()
		return nil, err
	}
	if x.proxy == nil || x.proxy.Scheme != "https" {
		return conn, nil
	}
	settings := p.tls()
	settings.ServerName, settings.NextProtos = x.proxy.Hostname(), []string{"http/1.1"}
	secured := tls.Client(conn, settings)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// Check asks an endpoint once.
func (p *Prober) Check(ctx context.Context, e config.Endpoint) Result {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	clock := newStopwatch()
	result := Result{At: clock.start}
	x := &exchange{prober: p, endpoint: &e, until: clock.start.Add(e.Timeout + grace)}
	response, err := x.send(clock.trace(ctx))
	if err == nil {
		defer response.Body.Close()
		result.Status = response.StatusCode
		result.Kind, result.Error, err = x.judge(response)
	}
	phase := clock.waitingFor()
	if err != nil {
		result.Kind, result.Error = x.explain(err, phase)
	}
	if !result.OK() {
		result.Kind, result.Error = x.blame(err, result.Kind, result.Error, phase)
	}
	result.Phases = clock.stop()
	if result.Kind != Proxy {
		result.CertEnd = certEnd(response, err)
	}
	return result
}

func (x *exchange) judge(response *http.Response) (kind, words string, err error) {
	e := x.endpoint
	if response.StatusCode == http.StatusProxyAuthRequired && x.proxy != nil {
		return Proxy, "", proxyError("answered " + named(response.StatusCode) + login(response.StatusCode))
	}
	if !e.ExpectStatus.Contain(response.StatusCode) {
		return Status, fmt.Sprintf("answered %d %s, expected %s",
			response.StatusCode, http.StatusText(response.StatusCode), e.ExpectStatus), nil
	}
	if e.ExpectText == "" {
		return OK, "", nil
	}
	content, err := text(response)
	var packed packedError
	switch {
	case errors.As(err, &packed):
		return Text, packed.Error(), nil
	case err != nil:
		return "", "", err
	case bytes.Contains(content, []byte(e.ExpectText)):
		return OK, "", nil
	case looksPacked(content):
		return Text, fmt.Sprintf("the answer does not contain %q; it is compressed, and has no Content-Encoding", e.ExpectText), nil
	}
	return Text, fmt.Sprintf("the answer does not contain %q", e.ExpectText), nil
}

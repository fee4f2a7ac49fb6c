package probe

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http/httptrace"
	"sync"
	"time"
)

// The phases before a request is sent. Through a proxy they are about the proxy, which is asked to connect in the last.
const (
	looking    = "looking up the name"
	connecting = "connecting"
	sending    = "sending the request"
)

// Phases is where the time of a check went. After a redirect they are the last request's.
type Phases struct {
	DNS       time.Duration
	Connect   time.Duration
	TLS       time.Duration
	FirstByte time.Duration
	Total     time.Duration
}

// MarshalJSON writes the phases as seconds.
func (p Phases) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		DNS       float64 `json:"dns"`
		Connect   float64 `json:"connect"`
		TLS       float64 `json:"tls"`
		FirstByte float64 `json:"first_byte"`
		Total     float64 `json:"total"`
	}{p.DNS.Seconds(), p.Connect.Seconds(), p.TLS.Seconds(), p.FirstByte.Seconds(), p.Total.Seconds()})
}

// stopwatch is written by the transport's goroutines, of which some may outlive the request.
type stopwatch struct {
	mu     sync.Mutex
	start  time.Time
	begun  time.Time
	phase  string
	phases Phases
}

func newStopwatch() *stopwatch {
	now := time.Now()
	return &stopwatch{start: now, begun: now, phase: connecting}
}

// restart forgets the phases of the request that was redirected here.
func (s *stopwatch) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase, s.begun, s.phases = connecting, time.Now(), Phases{}
}

func (s *stopwatch) begin(phase string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase, s.begun = phase, time.Now()
}

func (s *stopwatch) end(into *time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*into = time.Since(s.begun)
}

func (s *stopwatch) waitingFor() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase
}

func (s *stopwatch) stop() Phases {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phases.Total = time.Since(s.start)
	return s.phases
}

func (s *stopwatch) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { s.restart() },
		DNSStart:     func(httptrace.DNSStartInfo) { s.begin(looking) },
		DNSDone:      func(httptrace.DNSDoneInfo) { s.end(&s.phases.DNS) },
		ConnectStart: func(string, string) { s.begin(connecting) },
		ConnectDone: func(_, _ string, err error) {
			s.end(&s.phases.Connect)
			if err == nil {
				s.begin(sending)
			}
		},
		TLSHandshakeStart: func() { s.begin("the TLS handshake") },
		TLSHandshakeDone:  func(tls.ConnectionState, error) { s.end(&s.phases.TLS) },
		WroteRequest:      func(httptrace.WroteRequestInfo) { s.begin("the first byte") },
		GotFirstResponseByte: func() {
			s.end(&s.phases.FirstByte)
			s.begin("the rest of the answer")
		},
	})
}

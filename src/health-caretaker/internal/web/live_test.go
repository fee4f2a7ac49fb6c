package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sealift/health-caretaker/internal/monitor"
)

func (s service) connect(t *testing.T, origin string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	options := &websocket.DialOptions{HTTPHeader: http.Header{}}
	if origin != "" {
		options.HTTPHeader.Set("Origin", origin)
	}
	conn, response, err := websocket.Dial(t.Context(), s.url+"/ws", options)
	if err == nil {
		conn.SetReadLimit(-1)
		t.Cleanup(func() { _ = conn.CloseNow() })
	}
	return conn, response, err
}

func (s service) client(t *testing.T) *websocket.Conn {
	t.Helper()
	conn, _, err := s.connect(t, "")
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func receive(t *testing.T, conn *websocket.Conn) Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var message Message
	_, content, err := conn.Read(ctx)
	if err != nil {
		t.Errorf("no message: %v", err)
		return message
	}
	if strings.Contains(string(content), `"endpoints":null`) || json.Unmarshal(content, &message) != nil {
		t.Errorf("got %.200s", content)
	}
	return message
}

func TestASnapshotThenChanges(t *testing.T) {
	s := serve(t, `{"endpoints": [{"name": "a", "url": "http://a", "interval": "1h"}, {"name": "b", "url": "http://b", "interval": "1h"}]}`)
	conn := s.client(t)
	if m := receive(t, conn); m.Type != "snapshot" || len(m.Endpoints) != 2 || m.Status.Endpoints.Up != 2 {
		t.Errorf("first %+v", m)
	}
	s.checker.broken.Store(true)
	s.ask(t, "POST", "/api/v1/endpoints/b/check")
	m := receive(t, conn)
	if m.Type != "changes" || len(m.Endpoints) != 1 || m.Endpoints[0].Name != "b" || m.Endpoints[0].State != monitor.Down ||
		m.Status.Endpoints != (Counts{Total: 2, Up: 1, Down: 1}) {
		t.Errorf("then %+v", m)
	}
	s.keeper.Reload(true)
	if m := receive(t, conn); m.Type != "snapshot" || m.Status.Config.Reloads != 1 {
		t.Errorf("after a reload %+v", m)
	}
}

func TestOriginsOfTheWebSocket(t *testing.T) {
	s := serve(t, `{"allowed_origins": ["https://friend.example"]}`)
	for origin, status := range map[string]int{
		"": 101, s.url: 101, "https://friend.example": 101,
		"https://evil.example": 403, "http://friend.example": 403, "https://friend.example.evil.example": 403, "null": 403,
	} {
		if _, response, err := s.connect(t, origin); response == nil || response.StatusCode != status {
			t.Errorf("origin %q: %v, %v", origin, response, err)
		}
	}
	if response, _ := s.ask(t, "GET", "/ws"); response.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("without an upgrade: %s", response.Status)
	}
}

func TestAHundredClientsGetAChange(t *testing.T) {
	s := serve(t, `{"endpoints": [{"name": "a", "url": "http://a", "interval": "1h"}]}`)
	s.client(t) // this one never reads
	clients := make([]*websocket.Conn, 100)
	for i := range clients {
		clients[i] = s.client(t)
		receive(t, clients[i])
	}
	s.checker.broken.Store(true)
	begun := time.Now()
	s.ask(t, "POST", "/api/v1/endpoints/a/check")
	var all sync.WaitGroup
	for _, conn := range clients {
		all.Go(func() {
			if m := receive(t, conn); m.Type != "changes" || m.Endpoints[0].State != monitor.Down {
				t.Errorf("got %+v", m)
			}
		})
	}
	all.Wait()
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("the change took %v", took)
	}
}

// large is a configuration with a snapshot of about a megabyte, which soon fills a connection.
func large() string {
	var endpoints []string
	for i := range 20 {
		endpoints = append(endpoints, fmt.Sprintf(`{"name": "e%d", "url": "http://a", "interval": "1h", "labels": {"long": %q}}`,
			i, strings.Repeat("x", 50_000)))
	}
	return `{"endpoints": [` + strings.Join(endpoints, ",") + `]}`
}

// flood sends snapshots to a client that reads until the others are full to the brim.
func (s service) flood(t *testing.T, reader *websocket.Conn, full func() bool) {
	t.Helper()
	for range 100 {
		if full() {
			return
		}
		s.Hub.Reset()
		s.Hub.flush()
		begun := time.Now()
		_, content, err := reader.Read(t.Context())
		if err != nil || !strings.HasPrefix(string(content), `{"type":"snapshot"`) {
			t.Fatalf("the reader got %.50s, %v", content, err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("the reader waited %v", took)
		}
	}
	t.Fatal("a hundred megabytes fill nobody")
}

func TestAClientThatDoesNotReadIsDropped(t *testing.T) {
	s := serve(t, large())
	lazy, reader := s.client(t), s.client(t)
	receive(t, reader)
	s.flood(t, reader, func() bool { _, dropped := s.Hub.Counts(); return dropped == 1 })
	if clients, _ := s.Hub.Counts(); clients != 1 {
		t.Errorf("%d clients are left", clients)
	}
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, _, err := lazy.Read(ctx)
		cancel()
		if err != nil {
			if ctx.Err() == context.DeadlineExceeded {
				t.Error("the connection that was dropped is still open")
			}
			return
		}
	}
}

func TestTheEndIsToldAndWaitsForNobody(t *testing.T) {
	s := serve(t, large())
	s.client(t) // this one never reads
	reader := s.client(t)
	receive(t, reader)
	sent := 0
	s.flood(t, reader, func() bool { sent++; return sent > 12 })
	begun := time.Now()
	s.end()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, _, err := reader.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the reader was told %v", err)
	}
	<-s.ended
	if took := time.Since(begun); took > goodbye+500*time.Millisecond {
		t.Errorf("the end took %v", took)
	}
	late, _, err := s.connect(t, "")
	if err == nil {
		if _, _, err = late.Read(ctx); err == nil {
			t.Error("a client that comes after the end is served")
		}
	}
}

package web

import (
	"context"
	"encoding/json"
	"maps"
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

// clog connects a client that reads its snapshot and then nothing more. Messages are pushed until so many of them
// wait behind one that its connection does not take; without a reader they stay there.
func (s service) clog(t *testing.T, waiting int) *websocket.Conn {
	t.Helper()
	s.Hub.mu.Lock()
	others := maps.Clone(s.Hub.clients)
	s.Hub.mu.Unlock()
	conn := s.client(t)
	receive(t, conn)
	s.Hub.mu.Lock()
	defer s.Hub.mu.Unlock()
	for c := range s.Hub.clients {
		if _, other := others[c]; other {
			continue
		}
		for still := 0; still < 20; still++ {
			for len(c.messages) < waiting {
				c.messages <- make([]byte, 1<<20)
				still = 0
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return conn
}

func TestAHundredClientsGetAChangeAndTwoThatDoNotReadAreDropped(t *testing.T) {
	s := serve(t, `{"endpoints": [{"name": "a", "url": "http://a", "interval": "1h"}]}`)
	clients := make([]*websocket.Conn, 100)
	for i := range clients {
		clients[i] = s.client(t)
		receive(t, clients[i])
	}
	clogged := time.Now()
	s.clog(t, 1)
	full := s.clog(t, backlog)
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
	// A Hub that writes to one after the other waits for the two until they are given up.
	if took := time.Since(begun); took > writeTimeout*4/5 {
		t.Errorf("the change took %v", took)
	}
	// Whoever had no place for the change is dropped; for the other one only its own goroutine waits.
	here, dropped := s.Hub.Counts()
	if onlyOne := time.Since(clogged) < writeTimeout; onlyOne && (here != 101 || dropped != 1) {
		t.Errorf("after the change %d clients are here, %d are dropped", here, dropped)
	}
	for deadline := time.Now().Add(2 * writeTimeout); ; time.Sleep(50 * time.Millisecond) {
		here, dropped := s.Hub.Counts()
		if here == 100 && dropped == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("in the end %d clients are here, %d are dropped", here, dropped)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for {
		if _, _, err := full.Read(ctx); err != nil {
			if ctx.Err() != nil {
				t.Error("the connection that was dropped is still open")
			}
			return
		}
	}
}

func TestTheEndIsToldAndWaitsForNobody(t *testing.T) {
	s := serve(t, `{}`)
	reader := s.client(t)
	receive(t, reader)
	s.clog(t, 1)
	begun := time.Now()
	s.end()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, _, err := reader.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the reader was told %v", err)
	}
	<-s.ended
	if took := time.Since(begun); took > goodbye+3*time.Second { // below writeTimeout, which would end it too
		t.Errorf("the end took %v", took)
	}
	late, _, err := s.connect(t, "")
	if err == nil {
		if _, _, err = late.Read(ctx); err == nil {
			t.Error("a client that comes after the end is served")
		}
	}
}

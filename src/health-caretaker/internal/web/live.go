package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/sealift/health-caretaker/internal/monitor"
)

const (
	writeTimeout = 5 * time.Second
	pingEvery    = 30 * time.Second
)

// Message is what a WebSocket client gets: first a snapshot, then changes,
// and another snapshot after each reload of the configuration.
type Message struct {
	Type      string         `json:"type"` // "snapshot" or "changes"
	Status    Status         `json:"status"`
	Endpoints []monitor.View `json:"endpoints"`
}

func (s *Server) snapshot() []byte { return s.encode("snapshot", s.monitor.Endpoints()) }

func (s *Server) changes(names []string) []byte {
	views := []monitor.View{}
	for _, name := range names {
		if view, err := s.monitor.Endpoint(name); err == nil {
			views = append(views, view)
		}
	}
	return s.encode("changes", views)
}

func (s *Server) encode(kind string, views []monitor.View) []byte {
	message, err := json.Marshal(Message{Type: kind, Status: s.currentStatus(), Endpoints: views})
	if err != nil {
		panic(err) // our own plain values always encode
	}
	return message
}

// live is the WebSocket. Accept refuses pages of other sites.
func (s *Server) live(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: s.keeper.Config().AllowedOrigins})
	if err != nil {
		s.log.Info("a WebSocket client is refused", "remote", r.RemoteAddr, "error", err)
		return
	}
	defer func() { _ = conn.CloseNow() }()
	// Without its reader a connection is closed at once, also under a Write that hangs.
	reader, drop := context.WithCancel(context.WithoutCancel(r.Context()))
	defer drop()
	ctx := conn.CloseRead(reader)
	c, leave := s.Hub.join(drop)
	leave(pump(ctx, conn, c))
}

// pump writes until the client goes, is dropped, is too slow for one message, or the service ends.
func pump(ctx context.Context, conn *websocket.Conn, c *client) (slow bool) {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return false
		case message, open := <-c.messages:
			if !open {
				_ = conn.Close(websocket.StatusGoingAway, "the service ends")
				return false
			}
			err = within(ctx, func(ctx context.Context) error {
				return conn.Write(ctx, websocket.MessageText, message)
			})
		case <-ping.C:
			err = within(ctx, conn.Ping)
		}
		if err != nil {
			return errors.Is(err, context.DeadlineExceeded)
		}
	}
}

func within(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if err := do(ctx); err != nil {
		return errors.Join(err, ctx.Err())
	}
	return nil
}

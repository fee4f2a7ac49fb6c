// Package web is what people and programs see on the first port.
package web

import (
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/sealift/health-caretaker/internal/monitor"
)

// Server answers on the web port.
type Server struct {
	Monitor *monitor.Monitor
	Log     *slog.Logger
}

// Handler routes every address of the port.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	return mux
}

// healthz says that the process answers, whatever the endpoints do.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	s.reply(w, http.StatusOK, map[string]string{"status": "alive"})
}

// readyz says whether every endpoint has been asked once.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if !s.Monitor.Checked() {
		s.reply(w, http.StatusServiceUnavailable, map[string]string{"status": "first round is under way"})
		return
	}
	s.reply(w, http.StatusOK, map[string]string{"status": "ready"})
}

func (s *Server) reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		s.Log.Debug("a client went away", "error", err)
	}
}

// Package web is what people and programs see on the first port: page, API, WebSocket and health.
package web

import (
	"bytes"
	"embed"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/sealift/health-caretaker/internal/config"
	"github.com/sealift/health-caretaker/internal/monitor"
	"github.com/sealift/health-caretaker/internal/version"
)

//go:embed static
var embedded embed.FS

// Server answers on the web port.
type Server struct {
	monitor *monitor.Monitor
	keeper  *config.Keeper
	info    version.Info
	log     *slog.Logger
	started time.Time
	guard   *http.CrossOriginProtection
	Hub     *Hub
}

// New makes a Server. Its Hub needs to be told of changes and to be run.
func New(m *monitor.Monitor, k *config.Keeper, info version.Info, log *slog.Logger) *Server {
	s := &Server{
		monitor: m, keeper: k, info: info, log: log,
		started: time.Now(), guard: http.NewCrossOriginProtection(),
	}
	s.Hub = newHub(s.snapshot, s.changes, log)
	return s
}

// Handler routes every address of the port.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /api/v1/status", s.status)
	mux.HandleFunc("GET /api/v1/endpoints", s.endpoints)
	mux.HandleFunc("GET /api/v1/endpoints/{name}", s.endpoint)
	mux.HandleFunc("GET /api/v1/endpoints/{name}/history", s.history)
	mux.HandleFunc("POST /api/v1/endpoints/{name}/check", s.check)
	mux.HandleFunc("GET /ws", s.live)
	mux.HandleFunc("GET /api/v1/openapi.json", file("openapi.json"))
	mux.HandleFunc("GET /{$}", file("index.html"))
	// Each by name: one pattern for all of them would answer 404 where 405 is due.
	for _, name := range []string{"page.css", "page.js", "live.js", "one.js", "chart.js", "words.js", "icon.svg"} {
		mux.HandleFunc("GET /"+name, file(name))
	}
	return careful(mux)
}

func file(name string) http.HandlerFunc {
	content, err := embedded.ReadFile("static/" + name)
	if err != nil {
		panic(err) // the folder is compiled in
	}
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	}
}

// careful lets the page load nothing from elsewhere, and lets nobody else frame it.
func careful(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; "+
			"img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

// healthz says that the process answers, whatever the endpoints do.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	s.reply(w, http.StatusOK, map[string]string{"status": "alive"})
}

// readyz says whether the first round is done. The configuration in force is always a valid one;
// that a newer file is refused is told, but takes nobody out of service.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if !s.monitor.Ready() {
		s.reply(w, http.StatusServiceUnavailable, map[string]string{"status": "the first round is under way"})
		return
	}
	answer := map[string]string{"status": "ready"}
	if status := s.keeper.Status(); !status.Valid {
		answer["config"] = "the new file is refused, the old configuration stays"
	}
	s.reply(w, http.StatusOK, answer)
}

func (s *Server) reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		s.log.Debug("a client went away", "error", err)
	}
}

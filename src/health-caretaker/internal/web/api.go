package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/sealift/health-caretaker/internal/config"
	"github.com/sealift/health-caretaker/internal/monitor"
	"github.com/sealift/health-caretaker/internal/probe"
)

// Status is the service itself at a glance.
type Status struct {
	Version   string        `json:"version"`
	Commit    string        `json:"commit"`
	StartedAt time.Time     `json:"started_at"`
	Ready     bool          `json:"ready"`
	Endpoints Counts        `json:"endpoints"`
	Config    config.Status `json:"config"`
}

// Counts is how many endpoints there are, and in which state.
type Counts struct {
	Total   int `json:"total"`
	Up      int `json:"up"`
	Down    int `json:"down"`
	Unknown int `json:"unknown"`
}

// Endpoints is a list of them.
type Endpoints struct {
	Endpoints []monitor.View `json:"endpoints"`
}

// History is the last results of one endpoint, oldest first.
type History struct {
	Name    string         `json:"name"`
	Results []probe.Result `json:"results"`
}

// Problem is the body of every refusal.
type Problem struct {
	Error string `json:"error"`
}

func (s *Server) currentStatus() Status {
	n := s.monitor.Counts()
	up, down, unknown := n[monitor.Up], n[monitor.Down], n[monitor.Unknown]
	return Status{
		Version: s.info.Version, Commit: s.info.Commit, StartedAt: s.started, Ready: s.monitor.Ready(),
		Endpoints: Counts{Total: up + down + unknown, Up: up, Down: down, Unknown: unknown},
		Config:    s.keeper.Status(),
	}
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	s.reply(w, http.StatusOK, s.currentStatus())
}

func (s *Server) endpoints(w http.ResponseWriter, _ *http.Request) {
	s.reply(w, http.StatusOK, Endpoints{s.monitor.Endpoints()})
}

func (s *Server) endpoint(w http.ResponseWriter, r *http.Request) {
	view, err := s.monitor.Endpoint(r.PathValue("name"))
	s.answer(w, view, err)
}

func (s *Server) history(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	results, err := s.monitor.History(name)
	s.answer(w, History{name, results}, err)
}

// check asks an endpoint now. Pages of other sites may not have visitors do that.
func (s *Server) check(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	if err := s.guard.Check(r); err != nil && !slices.Contains(s.keeper.Config().AllowedOrigins, origin) {
		s.reply(w, http.StatusForbidden, Problem{"another site may not ask for this; see allowed_origins"})
		return
	}
	view, err := s.monitor.Endpoint(r.PathValue("name"))
	if err == nil {
		timeout := time.Duration(view.TimeoutSeconds * float64(time.Second))
		// A check may take longer than other answers may: its own wait, then its own timeout.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(2*timeout + 5*time.Second))
		wait, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		view, err = s.monitor.CheckNow(wait, view.Name)
	}
	s.answer(w, view, err)
}

func (s *Server) answer(w http.ResponseWriter, value any, err error) {
	switch {
	case errors.Is(err, monitor.ErrUnknown):
		s.reply(w, http.StatusNotFound, Problem{err.Error()})
	case err != nil:
		w.Header().Set("Retry-After", "1")
		s.reply(w, http.StatusServiceUnavailable, Problem{err.Error()})
	default:
		s.reply(w, http.StatusOK, value)
	}
}

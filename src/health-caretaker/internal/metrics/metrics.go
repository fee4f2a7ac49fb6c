// Package metrics shows the state of the service to Prometheus.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sealift/health-caretaker/internal/config"
	"github.com/sealift/health-caretaker/internal/monitor"
	"github.com/sealift/health-caretaker/internal/probe"
	"github.com/sealift/health-caretaker/internal/version"
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("health_caretaker_"+name, help, labels, nil)
}

var (
	up       = describe("endpoint_up", "Whether the endpoint is up (1) or down (0); absent while that is unknown.", "endpoint")
	duration = describe("endpoint_duration_seconds", "Duration of the last check.", "endpoint")
	phases   = describe("endpoint_phase_duration_seconds", "Duration of the last check by phase.", "endpoint", "phase")
	checks   = describe("endpoint_checks_total", "Checks by result.", "endpoint", "result")
	changes  = describe("endpoint_state_changes_total", "Changes of state by the state they led to.", "endpoint", "to")
	certEnd  = describe("endpoint_certificate_end_timestamp_seconds", "When the certificate of the endpoint ends.", "endpoint")

	reloads  = describe("config_reloads_total", "Attempts to load a new configuration by result.", "result")
	loaded   = describe("config_last_reload_successful", "Whether the last configuration was loaded (1) or refused (0).")
	loadedAt = describe("config_last_reload_success_timestamp_seconds", "When the configuration in force was loaded.")

	sockets        = describe("websocket_clients", "WebSocket clients that are connected.")
	droppedSockets = describe("websocket_dropped_clients_total", "WebSocket clients that did not keep up.")

	build = describe("build_info", "The build of this program; always 1.", "version", "commit", "go_version")
)

// Sources is what the metrics are read from, at each scrape: an endpoint that was removed leaves nothing behind.
type Sources struct {
	Monitor *monitor.Monitor
	Config  func() config.Status
	Sockets func() (open int, dropped uint64)
	Info    version.Info
}

// Handler answers on the metrics port.
func Handler(s Sources) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry(s), promhttp.HandlerOpts{}))
	return mux
}

func registry(s Sources) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		s,
	)
	return registry
}

// Describe lists the metrics.
func (s Sources) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		up, duration, phases, checks, changes, certEnd, reloads, loaded, loadedAt, sockets, droppedSockets, build,
	} {
		out <- d
	}
}

// Collect reads them.
func (s Sources) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	count := func(d *prometheus.Desc, value uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	status := s.Config()
	open, dropped := s.Sockets()
	gauge(build, 1, s.Info.Version, s.Info.Commit, s.Info.Go)
	count(reloads, status.Reloads, "loaded")
	count(reloads, status.Refusals, "refused")
	gauge(loaded, number(status.Valid))
	gauge(loadedAt, seconds(status.LoadedAt))
	gauge(sockets, float64(open))
	count(droppedSockets, dropped)
	for _, e := range s.Monitor.Endpoints() {
		if e.State != monitor.Unknown {
			gauge(up, number(e.State == monitor.Up), e.Name)
		}
		if e.Last != nil {
			took := e.Last.Phases
			gauge(duration, took.Total.Seconds(), e.Name)
			gauge(phases, took.DNS.Seconds(), e.Name, "dns")
			gauge(phases, took.Connect.Seconds(), e.Name, "connect")
			gauge(phases, took.TLS.Seconds(), e.Name, "tls")
			gauge(phases, took.FirstByte.Seconds(), e.Name, "first_byte")
		}
		if e.CertificateEnd != nil {
			gauge(certEnd, seconds(*e.CertificateEnd), e.Name)
		}
		byResult, byState := s.Monitor.Totals(e.Name)
		for _, kind := range probe.Kinds {
			count(checks, byResult[kind], e.Name, kind)
		}
		for _, to := range []monitor.State{monitor.Up, monitor.Down} {
			count(changes, byState[to], e.Name, string(to))
		}
	}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

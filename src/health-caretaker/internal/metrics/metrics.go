// Package metrics shows the state of the service to Prometheus.
package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sealift/health-caretaker/internal/monitor"
	"github.com/sealift/health-caretaker/internal/probe"
	"github.com/sealift/health-caretaker/internal/version"
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("health_caretaker_"+name, help, labels, nil)
}

var (
	up       = describe("endpoint_up", "Whether the endpoint is up (1) or down (0); absent while that is unknown.", "endpoint")
	duration = describe("endpoint_last_duration_seconds", "Duration of the last check by phase.", "endpoint", "phase")
	checks   = describe("endpoint_checks_total", "Checks by result.", "endpoint", "result")
	changes  = describe("endpoint_state_changes_total", "Changes of state by the state they led to.", "endpoint", "to")
	certEnd  = describe("endpoint_certificate_end_timestamp_seconds", "When the certificate of the endpoint ends.", "endpoint")
	build    = describe("build_info", "The build of this program; always 1.", "version", "commit", "go_version")
)

// collector reads the monitor at each scrape, so an endpoint that was removed leaves nothing behind.
type collector struct {
	monitor *monitor.Monitor
	info    version.Info
}

// Handler answers on the metrics port.
func Handler(m *monitor.Monitor, info version.Info) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collector{monitor: m, info: info},
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{up, duration, checks, changes, certEnd, build} {
		out <- d
	}
}

func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	count := func(d *prometheus.Desc, value uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	gauge(build, 1, c.info.Version, c.info.Commit, c.info.Go)
	for _, e := range c.monitor.Endpoints() {
		if e.State != monitor.Unknown {
			gauge(up, map[monitor.State]float64{monitor.Up: 1}[e.State], e.Name)
		}
		if e.Last != nil {
			for phase, seconds := range e.Last.Phases.Seconds() {
				gauge(duration, seconds, e.Name, phase)
			}
		}
		if e.CertificateEnd != nil {
			gauge(certEnd, float64(e.CertificateEnd.Unix()), e.Name)
		}
		for _, kind := range probe.Kinds {
			count(checks, e.Checks[kind], e.Name, kind)
		}
		for _, to := range []monitor.State{monitor.Up, monitor.Down} {
			count(changes, e.Changes[to], e.Name, string(to))
		}
	}
}

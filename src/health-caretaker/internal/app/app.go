// Package app puts the parts together, and takes them apart again in time.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/sealift/health-caretaker/internal/config"
	"github.com/sealift/health-caretaker/internal/metrics"
	"github.com/sealift/health-caretaker/internal/monitor"
	"github.com/sealift/health-caretaker/internal/probe"
	"github.com/sealift/health-caretaker/internal/version"
	"github.com/sealift/health-caretaker/internal/web"
)

// patience is how long open requests may take to finish; the whole end stays below two seconds.
const patience = time.Second

// Options is what the command line decides. A port that is nil is left to the configuration.
type Options struct {
	ConfigPath  string
	WebPort     *int
	MetricsPort *int
	Info        version.Info
	Log         *slog.Logger
	Listening   func(web, metrics net.Addr) // told once both ports are open
}

// Ports decides both ports.
func (o Options) Ports(c config.Config) (web, metrics int) {
	web, metrics = c.WebPort, c.MetricsPort
	if o.WebPort != nil {
		web = *o.WebPort
	}
	if o.MetricsPort != nil {
		metrics = *o.MetricsPort
	}
	return web, metrics
}

// Run serves until the context ends. It returns nil after a clean end.
func Run(ctx context.Context, o Options) error {
	file, err := config.Load(o.ConfigPath)
	if err != nil {
		return fmt.Errorf("%s is refused:\n%w", o.ConfigPath, err)
	}
	if !file.Exists {
		o.Log.Warn("no configuration, so nothing is watched", "path", o.ConfigPath)
	}
	webPort, metricsPort := o.Ports(file.Config)
	webListener, err := listen(ctx, "web", webPort)
	if err != nil {
		return err
	}
	defer webListener.Close()
	metricsListener, err := listen(ctx, "metrics", metricsPort)
	if err != nil {
		return err
	}
	defer metricsListener.Close()

	watching := monitor.New(probe.New("health-caretaker/"+o.Info.Version, nil), file.Config.MaxConcurrent, o.Log)
	defer watching.Stop()
	watching.Apply(file.Config)
	site := &web.Server{Monitor: watching, Log: o.Log}
	servers := map[net.Listener]*http.Server{
		webListener:     o.server(site.Handler()),
		metricsListener: o.server(metrics.Handler(watching, o.Info)),
	}
	o.Log.Info("listening", "web", webListener.Addr().String(), "metrics", metricsListener.Addr().String(), "version", o.Info.Version)
	if o.Listening != nil {
		o.Listening(webListener.Addr(), metricsListener.Addr())
	}
	return serve(ctx, servers)
}

func listen(ctx context.Context, what string, port int) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("the %s port cannot be opened: %w; choose another with -%s-port", what, err, what)
	}
	return listener, nil
}

func (o Options) server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

// serve runs the servers until the context ends or one of them fails, then ends them all.
func serve(ctx context.Context, servers map[net.Listener]*http.Server) error {
	failed := make(chan error, len(servers))
	for listener, server := range servers {
		go func() { failed <- server.Serve(listener) }()
	}
	var first error
	left := len(servers)
	select {
	case <-ctx.Done():
	case first = <-failed:
		left--
	}
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	for _, server := range servers {
		if err := server.Shutdown(deadline); err != nil {
			_ = server.Close() // whoever still hangs on has had his time
		}
	}
	for range left {
		if err := <-failed; first == nil && !errors.Is(err, http.ErrServerClosed) {
			first = err
		}
	}
	return first
}

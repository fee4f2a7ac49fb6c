// Package app puts the parts together, and takes them apart again in time.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
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
	keeper, err := config.NewKeeper(o.ConfigPath, o.Log)
	if err != nil {
		return fmt.Errorf("%s is refused:\n%w", o.ConfigPath, err)
	}
	webPort, metricsPort := o.Ports(keeper.Config())
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

	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	o.Log.Info("listening", "version", o.Info.Version,
		"web", webListener.Addr().String(), "metrics", metricsListener.Addr().String())
	if o.Listening != nil {
		o.Listening(webListener.Addr(), metricsListener.Addr())
	}
	return o.together(ctx, keeper, hangup, webListener, metricsListener)
}

// together runs the parts, and returns when all of them have ended.
func (o Options) together(
	ctx context.Context, keeper *config.Keeper, hangup <-chan os.Signal, webListener, metricsListener net.Listener,
) error {
	ctx, end := context.WithCancel(ctx)
	checks := monitor.New(probe.New("health-caretaker/"+o.Info.Version, nil), keeper.Config().MaxConcurrent, o.Log)
	site := web.New(checks, keeper, o.Info, o.Log)
	numbers := metrics.Sources{Monitor: checks, Config: keeper.Status, Sockets: site.Hub.Counts, Info: o.Info}

	checks.OnChange(site.Hub.Changed)
	keeper.OnReload(func(c config.Config) {
		checks.Apply(c)
		site.Hub.Reset()
	})
	checks.Apply(keeper.Config())

	var parts sync.WaitGroup
	defer parts.Wait()
	defer checks.Stop()
	defer end()
	parts.Go(func() { site.Hub.Run(ctx) })
	parts.Go(func() { keeper.Watch(ctx, hangup) })
	// Checks that are under way would hold up the requests which wait for them.
	defer context.AfterFunc(ctx, checks.Interrupt)()
	return serve(ctx, map[net.Listener]*http.Server{
		webListener:     o.server(site.Handler()),
		metricsListener: o.server(metrics.Handler(numbers)),
	})
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

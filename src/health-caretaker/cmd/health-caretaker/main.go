// Command health-caretaker watches HTTP and HTTPS endpoints and tells people and programs how they are.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sealift/health-caretaker/internal/app"
	about "github.com/sealift/health-caretaker/internal/version"
)

// version is set when a release is linked: -ldflags "-X main.version=1.2.3".
var version = "dev"

const (
	failed = 1
	usage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main with its surroundings as values.
func run(ctx context.Context, args []string, env func(string) string, out, errs io.Writer) int {
	command, err := parse(args, env, errs)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return usage
	}
	info := about.New(version)
	options := app.Options{
		ConfigPath: command.config, WebPort: command.webPort, MetricsPort: command.metricsPort,
		Info: info, Log: command.logger(errs),
	}
	command.warn(errs, options.Log)
	switch {
	case command.version && command.json:
		fmt.Fprintln(out, info.JSON())
	case command.version:
		fmt.Fprintln(out, info)
	case command.healthcheck:
		err = app.HealthCheck(ctx, options)
	case command.checkConfig:
		err = app.CheckConfig(options, out)
	default:
		err = app.Run(ctx, options)
	}
	if err != nil {
		fmt.Fprintln(errs, "health-caretaker:", err)
		return failed
	}
	return 0
}

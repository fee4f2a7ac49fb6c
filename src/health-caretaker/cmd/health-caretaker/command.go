package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
)

const defaultConfig = "/etc/health-caretaker/config.json"

// command is what the arguments and the environment ask for.
type command struct {
	config      string
	webPort     *int
	metricsPort *int
	logFormat   string
	logLevel    slog.Level
	version     bool
	json        bool
	healthcheck bool
	checkConfig bool
}

// parse reads arguments before variables, and variables before the configuration.
func parse(args []string, env func(string) string, errs io.Writer) (command, error) {
	var c command
	flags := flag.NewFlagSet("health-caretaker", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.StringVar(&c.config, "config", cmp.Or(env("CONFIG_FILE"), defaultConfig), "the configuration; also CONFIG_FILE")
	flags.Func("web-port", "port of page, API and health; also WEB_PORT (default 8080)", port(&c.webPort))
	flags.Func("metrics-port", "port of the metrics; also METRICS_PORT (default 9091)", port(&c.metricsPort))
	flags.StringVar(&c.logFormat, "log-format", cmp.Or(env("LOG_FORMAT"), "json"), "json or text; also LOG_FORMAT")
	flags.TextVar(&c.logLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	flags.BoolVar(&c.version, "version", false, "print the version and end")
	flags.BoolVar(&c.json, "json", false, "with -version: as JSON")
	flags.BoolVar(&c.healthcheck, "healthcheck", false, "ask the running service's /healthz; exit 0 or 1")
	flags.BoolVar(&c.checkConfig, "check-config", false, "say all that is wrong with the configuration; exit 0 or 1")

	for variable, into := range map[string]**int{"WEB_PORT": &c.webPort, "METRICS_PORT": &c.metricsPort} {
		if text := env(variable); text != "" {
			if err := port(into)(text); err != nil {
				return c, complain(errs, fmt.Errorf("%s=%q: %w", variable, text, err))
			}
		}
	}
	if err := flags.Parse(withoutProgram(args)); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		return c, complain(errs, fmt.Errorf("unexpected argument %q; -help lists the flags", flags.Arg(0)))
	}
	if c.logFormat != "json" && c.logFormat != "text" {
		return c, complain(errs, fmt.Errorf("log format %q is neither json nor text", c.logFormat))
	}
	return c, nil
}

// withoutProgram drops the program's own name: people also write
// "docker run IMAGE /health-caretaker -version", although the image's entrypoint is the program.
func withoutProgram(args []string) []string {
	if len(args) > 0 && filepath.Base(args[0]) == "health-caretaker" {
		return args[1:]
	}
	return args
}

func port(into **int) func(string) error {
	return func(text string) error {
		number, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return errors.New("must be a port, 0 to 65535")
		}
		value := int(number)
		*into = &value
		return nil
	}
}

func complain(errs io.Writer, err error) error {
	fmt.Fprintln(errs, "health-caretaker:", err)
	return err
}

func (c command) logger(out io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.logLevel}
	if c.logFormat == "text" {
		return slog.New(slog.NewTextHandler(out, options))
	}
	return slog.New(slog.NewJSONHandler(out, options))
}

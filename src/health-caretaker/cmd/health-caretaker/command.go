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
	"strings"
)

const (
	defaultConfig = "/etc/health-caretaker/config.json"
	prefix        = "HEALTH_CARETAKER_"
)

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
	ignored     []string // variables whose value is not a setting
}

// parse reads arguments before variables, and variables before the configuration.
func parse(args []string, env func(string) string, errs io.Writer) (command, error) {
	var c command
	_, config := c.variable(env, "CONFIG_FILE")
	logVariable, logFormat := c.variable(env, "LOG_FORMAT")
	flags := flag.NewFlagSet("health-caretaker", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.StringVar(&c.config, "config", cmp.Or(config, defaultConfig), "the configuration; also "+prefix+"CONFIG_FILE")
	flags.Func("web-port", "port of page, API and health; also "+prefix+"WEB_PORT (default 8080)", port(&c.webPort))
	flags.Func("metrics-port", "port of the metrics; also "+prefix+"METRICS_PORT (default 9091)", port(&c.metricsPort))
	flags.StringVar(&c.logFormat, "log-format", "", "json or text; also "+prefix+"LOG_FORMAT (default json)")
	flags.TextVar(&c.logLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	flags.BoolVar(&c.version, "version", false, "print the version and end")
	flags.BoolVar(&c.json, "json", false, "with -version: as JSON")
	flags.BoolVar(&c.healthcheck, "healthcheck", false, "ask the running service's /healthz; exit 0 or 1")
	flags.BoolVar(&c.checkConfig, "check-config", false, "say all that is wrong with the configuration; exit 0 or 1")
	if err := flags.Parse(withoutProgram(args)); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		return c, complain(errs, fmt.Errorf("unexpected argument %q; -help lists the flags", flags.Arg(0)))
	}
	serves := !c.version && !c.healthcheck && !c.checkConfig
	what := "log format"
	if c.logFormat == "" && logFormat != "" {
		what, c.logFormat = logVariable, logFormat
	}
	c.logFormat = cmp.Or(c.logFormat, "json")
	if c.logFormat != "json" && c.logFormat != "text" && serves {
		return c, complain(errs, fmt.Errorf("%s %q is neither json nor text", what, c.logFormat))
	}
	// A variable is read only where its port is needed: a bad one does not keep -version from working.
	for _, p := range []struct {
		name   string
		into   **int
		needed bool
	}{
		{"WEB_PORT", &c.webPort, serves || c.healthcheck},
		{"METRICS_PORT", &c.metricsPort, serves},
	} {
		variable, text := c.variable(env, p.name)
		if text == "" || *p.into != nil || !p.needed {
			continue
		}
		if err := port(p.into)(text); err != nil {
			return c, complain(errs, fmt.Errorf("%s=%q: %w", variable, text, err))
		}
	}
	return c, nil
}

// variable returns the value of a setting in the environment, by its name with the prefix or by the old name without.
// Kubernetes sets NAME_PORT=tcp://ADDRESS:PORT in every container for a Service called NAME, and that name may have our
// prefix. Such an address is not a setting, so the next name is used.
func (c *command) variable(env func(string) string, name string) (variable, value string) {
	for _, variable := range []string{prefix + name, name} {
		value := strings.TrimSpace(env(variable))
		if strings.Contains(value, "://") {
			c.ignored = append(c.ignored, variable)
			continue
		}
		if value != "" {
			return variable, value
		}
	}
	return "", ""
}

// warn names the ignored variables: in the log of the service, or as a line of text for other commands.
func (c command) warn(errs io.Writer, log *slog.Logger) {
	for _, variable := range c.ignored {
		what := variable + " is ignored: its value is an address, as Kubernetes sets for a Service of that name"
		if c.version || c.healthcheck || c.checkConfig {
			fmt.Fprintln(errs, "health-caretaker: warning:", what)
		} else {
			log.Warn(what, "hint", "set enableServiceLinks: false in the pod")
		}
	}
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

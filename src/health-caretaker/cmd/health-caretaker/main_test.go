package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets the test program be the service, for tests that need a real process.
func TestMain(m *testing.M) {
	if os.Getenv("BE_THE_SERVICE") != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// process starts the service as a process, on free ports, and returns its web port.
func process(t *testing.T, args ...string) (*exec.Cmd, string) {
	t.Helper()
	service := exec.Command(os.Args[0], args...)
	service.Env = append(os.Environ(), "BE_THE_SERVICE=1", "WEB_PORT=0", "METRICS_PORT=0")
	log, err := service.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Process.Kill(); _ = service.Wait() })
	for lines := bufio.NewScanner(log); lines.Scan(); {
		var line struct{ Msg, Web string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			_, port, _ := net.SplitHostPort(line.Web)
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return service, port
		}
	}
	t.Fatal("it does not listen")
	return nil, ""
}

func TestAProcessFromStartToEnd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	service, port := process(t, "-config", file)
	code := func(args ...string) int {
		return run(t.Context(), args, noEnv, io.Discard, io.Discard)
	}
	if got := code("-healthcheck", "-web-port", port); got != 0 {
		t.Errorf("-healthcheck while it runs: exit %d", got)
	}
	if err := service.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if got := code("/health-caretaker", "-healthcheck", "-web-port", port); got != 0 {
		t.Errorf("-healthcheck after SIGHUP: exit %d", got)
	}
	begun := time.Now()
	if err := service.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := service.Wait(); err != nil || time.Since(begun) > 2*time.Second {
		t.Errorf("the end took %v, %v", time.Since(begun), err)
	}
	if got := code("-healthcheck", "-web-port", port); got != failed {
		t.Errorf("-healthcheck after the end: exit %d", got)
	}
	if got := code("-check-config", "-config", file); got != failed {
		t.Errorf("-check-config without a file: exit %d", got)
	}
	if err := os.WriteFile(file, []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := code("-check-config", "-config", file); got != 0 {
		t.Errorf("-check-config of a good file: exit %d", got)
	}
}

func noEnv(string) string { return "" }

func TestVersionForPeopleAndPrograms(t *testing.T) {
	for _, args := range [][]string{{"-version"}, {"--version"}, {"/health-caretaker", "-version"}} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, noEnv, &out, &errs); code != 0 {
			t.Fatalf("%v: exit %d, %s", args, code, errs.String())
		}
		if !strings.HasPrefix(out.String(), "health-caretaker dev (commit ") ||
			!strings.HasSuffix(out.String(), runtime.Version()+", "+runtime.GOOS+"/"+runtime.GOARCH+")\n") {
			t.Errorf("%v printed %q", args, out.String())
		}
	}
	var out bytes.Buffer
	run(t.Context(), []string{"-version", "-json"}, noEnv, &out, &out)
	var said map[string]string
	if err := json.Unmarshal(out.Bytes(), &said); err != nil {
		t.Fatal(err)
	}
	if said["version"] != "dev" || said["platform"] != runtime.GOOS+"/"+runtime.GOARCH || len(said) != 4 {
		t.Errorf("-json said %v", said)
	}
}

func TestUsageIsRefused(t *testing.T) {
	for _, test := range []struct {
		args []string
		env  map[string]string
		want string
	}{
		{[]string{"-port", "1"}, nil, "not defined: -port"},
		{[]string{"serve"}, nil, `unexpected argument "serve"`},
		{[]string{"-web-port", "70000"}, nil, "must be a port"},
		{nil, map[string]string{"METRICS_PORT": "http"}, `METRICS_PORT="http": must be a port`},
		{[]string{"-log-format", "xml"}, nil, "neither json nor text"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), test.args, func(name string) string { return test.env[name] }, &out, &errs)
		if code != usage || !strings.Contains(errs.String(), test.want) {
			t.Errorf("%v %v: exit %d, %q", test.args, test.env, code, errs.String())
		}
	}
}

func TestAFlagWinsOverAVariable(t *testing.T) {
	env := map[string]string{"WEB_PORT": "1", "METRICS_PORT": "2", "CONFIG_FILE": "/a"}
	c, err := parse([]string{"-web-port", "3"}, func(name string) string { return env[name] }, &bytes.Buffer{})
	if err != nil || *c.webPort != 3 || *c.metricsPort != 2 || c.config != "/a" {
		t.Errorf("parsed %+v, %v", c, err)
	}
}

func TestVariables(t *testing.T) {
	type variables = map[string]string
	for _, test := range []struct {
		env     variables
		port    int // none is 0
		config  string
		format  string
		ignored string
	}{
		{variables{}, 0, defaultConfig, "json", ""},
		{variables{"HEALTH_CARETAKER_WEB_PORT": "1", "WEB_PORT": "2"}, 1, defaultConfig, "json", ""},
		{variables{"HEALTH_CARETAKER_WEB_PORT": "", "WEB_PORT": " 2\n"}, 2, defaultConfig, "json", ""},
		{variables{"WEB_PORT": "tcp://10.96.0.10:80"}, 0, defaultConfig, "json", "WEB_PORT"},
		{variables{"HEALTH_CARETAKER_WEB_PORT": "tcp://[fd00::1]:80", "WEB_PORT": "2"}, 2, defaultConfig, "json", "HEALTH_CARETAKER_WEB_PORT"},
		{variables{"HEALTH_CARETAKER_WEB_PORT": "1", "WEB_PORT": "udp://10.96.0.10:80"}, 1, defaultConfig, "json", ""},
		{variables{"HEALTH_CARETAKER_WEB_PORT": "tcp://a", "WEB_PORT": "tcp://b"}, 0, defaultConfig, "json", "HEALTH_CARETAKER_WEB_PORT WEB_PORT"},
		{variables{"HEALTH_CARETAKER_PORT": "tcp://10.0.0.1:8080", "HEALTH_CARETAKER_SERVICE_PORT": "8080"}, 0, defaultConfig, "json", ""},
		{variables{"HEALTH_CARETAKER_CONFIG_FILE": "/a b", "CONFIG_FILE": "/c"}, 0, "/a b", "json", ""},
		{variables{"HEALTH_CARETAKER_CONFIG_FILE": "tcp://a", "CONFIG_FILE": "/c"}, 0, "/c", "json", "HEALTH_CARETAKER_CONFIG_FILE"},
		{variables{"HEALTH_CARETAKER_LOG_FORMAT": "text", "LOG_FORMAT": "xml"}, 0, defaultConfig, "text", ""},
		{variables{"LOG_FORMAT": "tcp://a"}, 0, defaultConfig, "json", "LOG_FORMAT"},
	} {
		c, err := parse(nil, func(name string) string { return test.env[name] }, io.Discard)
		got := 0
		if c.webPort != nil {
			got = *c.webPort
		}
		if err != nil || got != test.port || c.config != test.config || c.logFormat != test.format ||
			strings.Join(c.ignored, " ") != test.ignored {
			t.Errorf("%v: port %d, %+v, %v", test.env, got, c, err)
		}
		var log bytes.Buffer
		c.warn(io.Discard, c.logger(&log))
		for _, variable := range c.ignored {
			if !strings.Contains(log.String(), `"level":"WARN","msg":"`+variable+" is ignored") {
				t.Errorf("%v: logged %s", test.env, log.String())
			}
		}
	}
}

func TestABadVariableMattersOnlyWhereItIsNeeded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"tcp://10.96.0.10:80", "http"} {
		env := map[string]string{"CONFIG_FILE": file}
		for _, name := range []string{"WEB_PORT", "METRICS_PORT", "LOG_FORMAT"} {
			env[name], env[prefix+name] = value, value
		}
		for _, args := range [][]string{{"-version"}, {"-help"}, {"-check-config"}, {"-version", "-web-port=1", "-metrics-port=2"}} {
			var errs bytes.Buffer
			code := run(t.Context(), args, func(name string) string { return env[name] }, io.Discard, &errs)
			if code != 0 {
				t.Errorf("%s %v: exit %d, %s", value, args, code, errs.String())
			}
			if link := strings.Contains(value, "://"); args[0] != "-help" &&
				link != strings.Contains(errs.String(), "health-caretaker: warning: WEB_PORT is ignored") {
				t.Errorf("%s %v: %s", value, args, errs.String())
			}
		}
		delete(env, "WEB_PORT")
		delete(env, prefix+"WEB_PORT")
		closed := run(t.Context(), []string{"-healthcheck", "-web-port=1"}, func(name string) string { return env[name] }, io.Discard, io.Discard)
		if closed != failed {
			t.Errorf("%s: -healthcheck ended with %d", value, closed)
		}
	}
	var errs bytes.Buffer
	code := run(t.Context(), nil, func(name string) string {
		return map[string]string{"HEALTH_CARETAKER_WEB_PORT": "http", "WEB_PORT": "1"}[name]
	}, io.Discard, &errs)
	if code != usage || !strings.Contains(errs.String(), `HEALTH_CARETAKER_WEB_PORT="http": must be a port`) {
		t.Errorf("exit %d, %s", code, errs.String())
	}
	errs.Reset()
	code = run(t.Context(), nil, func(name string) string { return map[string]string{"LOG_FORMAT": "xml"}[name] }, io.Discard, &errs)
	if code != usage || !strings.Contains(errs.String(), `LOG_FORMAT "xml" is neither json nor text`) {
		t.Errorf("exit %d, %s", code, errs.String())
	}
}

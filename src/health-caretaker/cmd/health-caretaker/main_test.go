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

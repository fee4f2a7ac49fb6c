package main

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

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

package config

import (
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEveryFieldIsRead(t *testing.T) {
	read, err := Parse([]byte(`{
		"web_port": 1, "metrics_port": 2, "max_concurrent": 3, "history": 4,
		"allowed_origins": ["https://status.example.org"],
		"endpoints": [
			{"name": "plain", "url": "http://example.org"},
			{"name": "full", "url": "https://example.org:8443/a?b=c", "method": "POST", "headers": {"X-A": "b"},
			 "body": "hello", "interval": "1m30s", "timeout": 2.5, "expect_status": [204, "300-302", "4xx"],
			 "expect_text": "fine", "follow_redirects": false,
			 "server_name": "www.example.org", "failures_to_down": 3, "successes_to_up": 2,
			 "labels": {"team": "a"}},
			{"name": "quick", "url": "http://example.org", "interval": 2}
		]}`))
	if err != nil {
		t.Fatal(err)
	}
	plain, quick := defaultEndpoint(), defaultEndpoint()
	plain.Name, plain.URL = "plain", "http://example.org"
	quick.Name, quick.URL, quick.Interval, quick.Timeout = "quick", plain.URL, 2*time.Second, 2*time.Second
	want := Config{
		WebPort: 1, MetricsPort: 2, MaxConcurrent: 3, History: 4,
		AllowedOrigins: []string{"https://status.example.org"},
		Endpoints: []Endpoint{plain, {
			Name: "full", URL: "https://example.org:8443/a?b=c", Method: "POST", Headers: map[string]string{"X-A": "b"},
			Body: "hello", Interval: 90 * time.Second, Timeout: 2500 * time.Millisecond,
			ExpectStatus: Statuses{{204, 204}, {300, 302}, {400, 499}}, ExpectText: "fine",
			ServerName: "www.example.org", FailuresToDown: 3, SuccessesToUp: 2, Labels: map[string]string{"team": "a"},
		}, quick},
	}
	if !reflect.DeepEqual(read, want) {
		t.Errorf("read %+v\nwant %+v", read, want)
	}
	if said := read.Endpoints[1].ExpectStatus.String(); said != "204, 300-302, 400-499" {
		t.Errorf("expected statuses are told as %q", said)
	}
}

// utf16 is how some editors save a file.
func utf16(order binary.AppendByteOrder, text string) string {
	var out []byte
	for _, r := range text {
		out = order.AppendUint16(out, uint16(r))
	}
	return string(out)
}

func TestWhatOthersWriteIsRead(t *testing.T) {
	for _, content := range []string{
		"\ufeff{}", "\ufeff\n{}\r\n",
		`{"endpoints": [{"name": "café", "url": "https://a", "server_name": "2001:db8::1", "headers": {"Host": "[::1]:80", "host2": "b"}}]}`,
		`{"endpoints": [{"name": "a", "url": "https://a", "server_name": "_a.b.example.", "labels": {"a": "b", "A": "c"}}]}`,
	} {
		if _, err := Parse([]byte(content)); err != nil {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestAllThatIsWrongIsToldAtOnce(t *testing.T) {
	endpoint := func(fields string) string {
		return `{"endpoints": [{"name": "a", "url": "http://a", ` + fields + `}]}`
	}
	for _, test := range []struct {
		content string
		want    []string // how each line starts, in this order
	}{
		{"", []string{"line 1: not JSON"}},
		{"{\n\"web_port\": 1,\n}", []string{"line 3: not JSON"}},
		{"{}{}", []string{"line 1: not JSON: there is something after"}},
		{" \n", []string{"line 1: not JSON: the file is empty"}},
		{"{\n\"web_port\": 1,\n}", []string{"line 3: not JSON: invalid character '}' looking for beginning of object key string: remove the comma"}},
		{"{\"allowed_origins\": [\n\"https://a\", ]\n}", []string{"line 2: not JSON: invalid character ']' looking for beginning of value: remove the comma"}},
		{"{\n// why\n\"web_port\": 1}", []string{"line 2: not JSON: invalid character '/' looking for beginning of object key string: JSON has no comments"}},
		{"{\n# why\n}", []string{"line 2: not JSON: invalid character '#' looking for beginning of object key string: JSON has no comments"}},
		{"{'web_port': 1}", []string{"line 1: not JSON: invalid character '\\'' looking for beginning of object key string: JSON needs double"}},
		{"{\n\"web_port\": 1\n", []string{"line 3: not JSON: the file ends in the middle"}},
		{"{\n}\n\n]", []string{"line 4: not JSON: there is something after"}},
		{"\ufeff{\n,}", []string{"line 2: not JSON: invalid character ','"}},
		{"{\n\"endpoints\": [{\"name\": \"caf\xe9\"}]}", []string{"line 2: not JSON: a byte that is not UTF-8"}},
		{utf16(binary.LittleEndian, "\ufeff{}"), []string{"line 1: not JSON: the file is encoded in UTF-16"}},
		{utf16(binary.BigEndian, "\ufeff{}"), []string{"line 1: not JSON: the file is encoded in UTF-16"}},
		{utf16(binary.LittleEndian, "{}"), []string{"line 1: not JSON: the file is encoded in UTF-16"}},
		{utf16(binary.BigEndian, "{}"), []string{"line 1: not JSON: the file is encoded in UTF-16"}},
		{"\xff\xfe\x00\x00{\x00\x00\x00", []string{"line 1: not JSON: the file is encoded in UTF-32"}},
		{"[]", []string{"config: must be an object"}},
		{`{"web_port": "80", "history": null, "max_concurrent": 1.5}`, []string{
			"web_port: must be a whole number, not string",
			"max_concurrent: must be a whole number, not number 1.5",
			"history: must not be null",
		}},
		{`{"web_port": 9091, "WEB_PORT": 1, "web_prt": 1, "colour": 1, "history": 0}`, []string{
			"WEB_PORT: unknown field; known are web_port, ", "colour: unknown field; known are",
			"web_prt: unknown field; known are",
			"metrics_port: 9091 is already the web_port", "history: must be from 1 to 10000, not 0",
		}},
		{`{"history": 1, "history": 2, "web_port": 70000, "metrics_port": -1}`, []string{
			"history: is written twice", "web_port: must be from 0 to 65535", "metrics_port: must be from 0",
		}},
		{`{"allowed_origins": ["*", "https://a.example/", "https://a.example", "https://me:s3cret@a.example"]}`, []string{
			`allowed_origins[0]: "*" is not an origin`, "allowed_origins[1]: ",
			`allowed_origins[3]: "https://me:xxxxx@a.example" is not an origin`,
		}},
		{`{"endpoints": [{}, 3, {"name": "a", "url": "http://a"}, {"name": "a", "url": "http://a"}]}`, []string{
			"endpoints[0].name: is needed", "endpoints[0].url: is needed", "endpoints[1]: must be an object",
			`endpoints[3].name: "a" is already used by endpoints[2]`,
		}},
		{`{"endpoints": [{"name": "a/b", "url": "ftp://a"}, {"name": "..", "url": "http://"},
			{"name": " ", "url": "http://:p@ss:w/%"}, {"name": "b", "url": "http://b:65536"}]}`, []string{
			"endpoints[0].name: ", `endpoints[0].url: must start with http:// or https://, not "ftp"`,
			"endpoints[1].name: ", "endpoints[1].url: names no host",
			"endpoints[2].name: ", "endpoints[2].url: is not a URL",
			"endpoints[3].url: 65536 is not a port",
		}},
		{endpoint(`"interval": "999ms"`), []string{
			"endpoints[0].interval: must be from 1s to 24h, not 999ms",
		}},
		{endpoint(`"interval": "25h", "timeout": 0, "timeouts": 1`), []string{
			"endpoints[0].timeouts: unknown field; known are name, url, ",
			"endpoints[0].interval: must be from 1s", "endpoints[0].timeout: must be longer than nothing",
		}},
		{endpoint(`"interval": "5s", "timeout": "6s", "failures_to_down": 0, "successes_to_up": 1001`), []string{
			"endpoints[0].timeout: 6s is above the interval of 5s",
			"endpoints[0].failures_to_down: must be from 1", "endpoints[0].successes_to_up: must be from 1",
		}},
		{endpoint(`"interval": "soon", "expect_status": ["600"], "follow_redirects": 1`), []string{
			`endpoints[0].interval: must be a duration such as "30s"`,
			`endpoints[0].expect_status: "600" is not a status code`,
			"endpoints[0].follow_redirects: must be true or false, not number",
		}},
		{endpoint(`"expect_status": [], "method": "G T", "headers": {"a b": "c", "d": "e\nf", "f": "\u007f", "g": 1, "h": "i", "h": "j"}`), []string{
			"endpoints[0].headers.h: is written twice", "endpoints[0].headers.g: must be text in quotes, not number",
			"endpoints[0].expect_status: must name at least one", `endpoints[0].method: "G T" is not an HTTP method`,
			"endpoints[0].headers.a b: is not a valid HTTP header", "endpoints[0].headers.d: is not a valid HTTP header",
			"endpoints[0].headers.f: is not a valid HTTP header",
		}},
		{endpoint(`"headers": {"X-Api-Key": "a", "x-api-key": "b", "X-API-KEY": "c", "Host": "a b"}`), []string{
			"endpoints[0].headers.Host: is not a valid HTTP header",
			"endpoints[0].headers.X-Api-Key: is the same header as X-API-KEY",
			"endpoints[0].headers.x-api-key: is the same header as X-Api-Key",
		}},
		{endpoint(`"server_name": "https://a.example", "Server_name": "a", "headers": {"host": "http://a"}`), []string{
			"endpoints[0].Server_name: unknown field", "endpoints[0].headers.host: is not a valid HTTP header",
			`endpoints[0].server_name: "https://a.example" is not a name such as`,
		}},
		{endpoint(`"server_name": "a.example:443"`), []string{"endpoints[0].server_name: "}},
		{endpoint(`"server_name": "*.example"`), []string{"endpoints[0].server_name: "}},
		{endpoint(`"labels": {"1a": "b"}, "headers": []`), []string{
			"endpoints[0].headers: must be an object", "endpoints[0].labels.1a: a label's name has",
		}},
		{"{\"\": 1, \"a\\nb: c\": 1, \"endpoints\": [{\"name\": \"a\", \"url\": \"http://a\", \"labels\": {\"\": \"b\"}}]}", []string{
			`"": unknown field`, `"a\nb: c": unknown field`, `endpoints[0].labels."": a label's name has`,
		}},
	} {
		_, err := Parse([]byte(test.content))
		var problems Problems
		if !errors.As(err, &problems) {
			t.Errorf("%s: not refused: %v", test.content, err)
			continue
		}
		if !slices.EqualFunc(problems, test.want, strings.HasPrefix) {
			t.Errorf("%s:\n got %s\nwant %s", test.content, problems, Problems(test.want))
		}
	}
}

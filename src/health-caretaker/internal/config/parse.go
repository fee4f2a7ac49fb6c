package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Parse reads a configuration. Its error is Problems: all of them, not the first.
func Parse(content []byte) (Config, error) {
	var problems Problems
	read := Default()
	content, err := decoded(content)
	if err == nil {
		err = wellFormed(content)
	}
	if err != nil {
		return Config{}, append(problems, err.Error())
	}
	root, ok := readObject("", content, &problems)
	if !ok {
		return Config{}, problems
	}
	var endpoints []json.RawMessage
	field(root, "web_port", &read.WebPort)
	field(root, "metrics_port", &read.MetricsPort)
	field(root, "max_concurrent", &read.MaxConcurrent)
	field(root, "history", &read.History)
	field(root, "allowed_origins", &read.AllowedOrigins)
	field(root, "endpoints", &endpoints)
	root.done()
	read.check(&problems)

	first := map[string]string{}
	for i, raw := range endpoints {
		path := fmt.Sprintf("endpoints[%d]", i)
		one := parseEndpoint(path, raw, &problems)
		if other, used := first[one.Name]; used && one.Name != "" {
			problems.add(path+".name", "%q is already used by %s", one.Name, other)
		} else {
			first[one.Name] = path
		}
		read.Endpoints = append(read.Endpoints, one)
	}
	if len(problems) > 0 {
		return Config{}, problems
	}
	return read, nil
}

// longest is the longest interval: a day, which is enough even for certificates.
const longest = 24 * time.Hour

func (c *Config) check(problems *Problems) {
	between(problems, "web_port", c.WebPort, 0, 65_535)
	between(problems, "metrics_port", c.MetricsPort, 0, 65_535)
	if c.WebPort == c.MetricsPort && c.WebPort != 0 {
		problems.add("metrics_port", "%d is already the web_port", c.MetricsPort)
	}
	for i, origin := range c.AllowedOrigins {
		parsed, err := url.Parse(origin)
		if err != nil || parsed.Host == "" || parsed.Scheme+"://"+parsed.Host != origin || strings.ContainsAny(origin, "*?") {
			problems.add(fmt.Sprintf("allowed_origins[%d]", i), "%q is not an origin such as https://status.example.org",
				Endpoint{URL: origin}.Address())
		}
	}
	between(problems, "max_concurrent", c.MaxConcurrent, 1, 10_000)
	between(problems, "history", c.History, 1, 10_000)
}

func between(problems *Problems, path string, value, low, high int) {
	if value < low || value > high {
		problems.add(path, "must be from %d to %d, not %d", low, high, value)
	}
}

func parseEndpoint(path string, raw json.RawMessage, problems *Problems) Endpoint {
	e := defaultEndpoint()
	o, ok := readObject(path, raw, problems)
	if !ok {
		return e
	}
	interval, timeout := duration(e.Interval), duration(e.Timeout)
	field(o, "name", &e.Name)
	field(o, "url", &e.URL)
	field(o, "method", &e.Method)
	texts(o, "headers", &e.Headers)
	field(o, "body", &e.Body)
	field(o, "interval", &interval)
	field(o, "timeout", &timeout)
	field(o, "expect_status", &e.ExpectStatus)
	field(o, "expect_text", &e.ExpectText)
	field(o, "follow_redirects", &e.FollowRedirects)
	field(o, "server_name", &e.ServerName)
	field(o, "failures_to_down", &e.FailuresToDown)
	field(o, "successes_to_up", &e.SuccessesToUp)
	texts(o, "labels", &e.Labels)
	o.done()
	e.Interval, e.Timeout = time.Duration(interval), time.Duration(timeout)
	if _, set := o.fields["timeout"]; !set {
		e.Timeout = min(e.Timeout, max(e.Interval, 1))
	}
	e.check(o)
	return e
}

var (
	token      = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	host       = regexp.MustCompile(`^[^\s/\\?#@]*$`)
	serverName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`)
	labelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

func (e *Endpoint) check(o *object) {
	problems := o.problems
	if why := badName(e.Name); why != "" {
		problems.add(o.at("name"), "%s", why)
	}
	if why := badURL(e.URL); why != "" {
		problems.add(o.at("url"), "%s", why)
	}
	if !token.MatchString(e.Method) {
		problems.add(o.at("method"), "%q is not an HTTP method", e.Method)
	}
	spelled := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		value, lower := e.Headers[name], strings.ToLower(name)
		if !token.MatchString(name) || strings.ContainsFunc(value, isControl) || (lower == "host" && !host.MatchString(value)) {
			problems.add(o.at("headers", name), "is not a valid HTTP header")
		}
		if other, used := spelled[lower]; used {
			problems.add(o.at("headers", name), "is the same header as %s: header names are case-insensitive", other)
		}
		spelled[lower] = name
	}
	if e.ServerName != "" && !serverName.MatchString(e.ServerName) && net.ParseIP(e.ServerName) == nil {
		problems.add(o.at("server_name"), "%q is not a name such as www.example.org, without scheme and port", e.ServerName)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Labels)) {
		if !labelName.MatchString(name) {
			problems.add(o.at("labels", name), "a label's name has letters, digits and _, and starts with a letter")
		}
	}
	e.checkTimes(o)
	between(problems, o.at("failures_to_down"), e.FailuresToDown, 1, 1000)
	between(problems, o.at("successes_to_up"), e.SuccessesToUp, 1, 1000)
}

func (e *Endpoint) checkTimes(o *object) {
	if e.Interval < time.Second || e.Interval > longest {
		o.problems.add(o.at("interval"), "must be from 1s to 24h, not %v", e.Interval)
	}
	if e.Timeout <= 0 {
		o.problems.add(o.at("timeout"), "must be longer than nothing, not %v", e.Timeout)
	}
	if e.Timeout > e.Interval {
		o.problems.add(o.at("timeout"), "%v is above the interval of %v", e.Timeout, e.Interval)
	}
}

func badName(name string) string {
	switch {
	case name == "":
		return "is needed"
	case len(name) > 100 || strings.TrimSpace(name) != name || name == "." || name == "..",
		strings.ContainsFunc(name, func(r rune) bool { return r == '/' || !unicode.IsPrint(r) }):
		return fmt.Sprintf("%q is not a name (up to 100 printable characters without /)", name)
	}
	return ""
}

func badURL(text string) string {
	if text == "" {
		return "is needed"
	}
	parsed, err := url.Parse(text)
	switch {
	case err != nil:
		return "is not a URL" // the parser's own words could repeat a password
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return fmt.Sprintf("must start with http:// or https://, not %q", parsed.Scheme)
	case parsed.Hostname() == "":
		return "names no host"
	case parsed.Port() != "" && !isPort(parsed.Port()):
		return fmt.Sprintf("%s is not a port", parsed.Port())
	}
	return ""
}

// isControl is what Go's HTTP client refuses in a header, at each check.
func isControl(r rune) bool { return (r < ' ' && r != '\t') || r == 0x7f }

func isPort(text string) bool {
	number, err := strconv.ParseUint(text, 10, 16)
	return err == nil && number > 0
}

package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// proxyError is a failure of the proxy itself, or of the setting that names it.
type proxyError string

func (e proxyError) Error() string { return string(e) }

// unreadable takes the place of a proxy whose address is wrong.
const unreadable = "unreadable.invalid"

// wrongProxies are the errors of HTTP_PROXY and HTTPS_PROXY, by the scheme of the endpoints that they are for. net/http
// silently uses no proxy when it cannot parse the address. With a placeholder in the variable it still applies NO_PROXY,
// and the requests that need the proxy are recognised. net/http reads the variables once, so this must run before.
var wrongProxies = sync.OnceValue(func() map[string]proxyError {
	wrong := map[string]proxyError{}
	for _, names := range [][]string{{"HTTP_PROXY", "http_proxy"}, {"HTTPS_PROXY", "https_proxy"}} {
		for _, name := range names {
			text := os.Getenv(name)
			address := strings.TrimSpace(text)
			if why := badProxy(address); address != "" && why != "" {
				scheme, _, _ := strings.Cut(names[1], "_")
				wrong[scheme] = proxyError(fmt.Sprintf("the proxy that %s names cannot be used: %s", name, why))
				address = "http://" + unreadable
			}
			if address != text {
				_ = os.Setenv(name, address)
			}
			if address != "" {
				break
			}
		}
	}
	return wrong
})

// badProxy returns why an address cannot be used. It does not quote it: an unescaped password is a usual cause.
func badProxy(text string) string {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	parsed, err := url.Parse(text)
	switch {
	case err != nil:
		return "its address is not one such as http://user:password@proxy.example.org:3128 " +
			"(in a password, a special character is written as % and its code: @ is %40)"
	case parsed.Scheme != "http" && parsed.Scheme != "https" && parsed.Scheme != "socks5" && parsed.Scheme != "socks5h":
		return fmt.Sprintf("its address starts with %s://; known are http, https, socks5 and socks5h", parsed.Scheme)
	case parsed.Hostname() == "":
		return "its address names no host"
	}
	if port := parsed.Port(); port != "" {
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return "its address has no port from 1 to 65535"
		}
	}
	return ""
}

// proxy chooses the proxy of a request by HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
func (p *Prober) proxy(r *http.Request) (*url.URL, error) {
	x := exchangeOf(r.Context())
	x.proxy, x.target = nil, r.URL
	proxy, err := p.environment(r)
	if err != nil {
		return nil, proxyError("no proxy can be chosen: " + err.Error())
	}
	if proxy == nil {
		return nil, nil
	}
	if proxy.Host == unreadable {
		return nil, wrongProxies()[r.URL.Scheme]
	}
	x.proxy = proxy
	if proxy.Scheme != "https" {
		return proxy, nil
	}
	// dial makes the handshake with the proxy. Transport would make it with the endpoint's server_name, and offer HTTP/2,
	// although it then sends CONNECT as HTTP/1.1.
	inside := *proxy
	inside.Scheme, inside.Host = "http", address(proxy)
	return &inside, nil
}

// address is host and port of a proxy.
func address(proxy *url.URL) string {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[proxy.Scheme]
	}
	if port == "" {
		port = "1080"
	}
	return net.JoinHostPort(proxy.Hostname(), port)
}

// connected checks a proxy's answer to CONNECT. Transport itself returns only the text of the status line as an error.
func connected(_ context.Context, _ *url.URL, _ *http.Request, response *http.Response) error {
	if response.StatusCode != http.StatusOK {
		return proxyError(fmt.Sprintf("answered CONNECT with %s%s", named(response.StatusCode), login(response.StatusCode)))
	}
	return nil
}

func named(status int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status)))
}

func login(status int) string {
	if status == http.StatusProxyAuthRequired {
		return ": it requires a login; write it into the variable that names the proxy, http://user:password@host:port"
	}
	return ""
}

// blame separates failures of the proxy from those of the endpoint, and names the proxy in both.
func (x *exchange) blame(err error, kind, words, phase string) (string, string) {
	var wrong proxyError
	isWrong := errors.As(err, &wrong)
	if x.proxy == nil {
		if isWrong {
			return Proxy, wrong.Error()
		}
		return kind, words
	}
	shown := x.proxy.Scheme + "://" + x.proxy.Host
	var op *net.OpError
	isOp := errors.As(err, &op)
	cut := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
	switch {
	case isWrong:
		return Proxy, fmt.Sprintf("the proxy %s %s", shown, wrong)
	case err == nil, kind == Timeout && phase != looking && phase != connecting && phase != sending:
	case kind == Timeout:
		return kind, fmt.Sprintf("the proxy %s: %s", shown, words)
	case isOp && op.Op == "proxyconnect":
		_, why := x.explain(op.Err, phase)
		return Proxy, fmt.Sprintf("the proxy %s cannot be reached: %s", shown, why)
	case isOp && strings.HasPrefix(op.Op, "socks "):
		return Proxy, fmt.Sprintf("the proxy %s does not connect to the endpoint: %s",
			shown, strings.TrimPrefix(op.Err.Error(), "unknown error "))
	case phase == sending, cut && x.target.Scheme == "http" && !strings.HasPrefix(x.proxy.Scheme, "socks"):
		// The other end of this connection is the proxy.
		return Proxy, fmt.Sprintf("the proxy %s: %s", shown, strings.ReplaceAll(words, "the server", "it"))
	}
	return kind, fmt.Sprintf("%s (through the proxy %s)", words, shown)
}

package probe

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sealift/health-caretaker/internal/config"
)

const maxRedirects = 10

// exchange is the requests of one check: the first, and those that it is redirected to.
type exchange struct {
	prober   *Prober
	endpoint *config.Endpoint
	secret   bool      // the requests may carry secrets
	until    time.Time // the end of its connections
	left     bool      // a redirect led elsewhere, and nothing that was configured is sent any more
	target   *url.URL  // of the last request
	proxy    *url.URL  // of the last request; nil without a proxy
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// send makes the requests until one is answered with something else than a redirect.
func (x *exchange) send(ctx context.Context) (*http.Response, error) {
	e := x.endpoint
	request, err := http.NewRequestWithContext(context.WithValue(ctx, exchangeKey{}, x), e.Method, e.URL, strings.NewReader(e.Body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", x.prober.agent)
	for name, value := range e.Headers {
		request.Header.Set(name, value)
		if strings.EqualFold(name, "Host") {
			request.Host = value
		}
	}
	// What may carry a token or a password is protected against recording now and decryption in twenty years; other
	// requests are not worth the cost.
	x.secret = len(e.Headers) > 0 || e.Body != "" || request.URL.User != nil || request.URL.RawQuery != ""
	client := http.Client{Transport: x, CheckRedirect: x.redirect}
	return client.Do(request)
}

// RoundTrip makes one request. The server_name applies to the endpoint's own host only.
func (x *exchange) RoundTrip(request *http.Request) (*http.Response, error) {
	name := x.endpoint.ServerName
	if x.left {
		name = ""
	}
	return x.prober.transport(x.secret, name).RoundTrip(request)
}

// redirect prepares the next request. Another host gets nothing that is configured; http.Client would send it most
// headers, the body, and the query in Referer. A redirect back to the first host gets nothing either: the other host
// would choose where the headers are sent.
func (x *exchange) redirect(next *http.Request, before []*http.Request) error {
	last := before[len(before)-1]
	switch {
	case !x.endpoint.FollowRedirects:
		return http.ErrUseLastResponse
	case len(before) >= maxRedirects:
		return errors.New("stopped after 10 redirects")
	}
	x.left = x.left || !stays(last.URL, next.URL)
	if x.left {
		next.Header = http.Header{"User-Agent": {x.prober.agent}}
		next.Body, next.GetBody, next.ContentLength, next.Host = nil, nil, 0, ""
		return nil
	}
	if before[0].Header.Get("Referer") == "" {
		next.Header.Del("Referer")
	}
	if next.URL.User == nil {
		next.URL.User = last.URL.User // http.Client keeps it where the redirect names no host
	}
	return nil
}

// stays says whether a redirect leads to the same host, by the same scheme and port or from HTTP to HTTPS as usual.
func stays(from, to *url.URL) bool {
	if !strings.EqualFold(from.Hostname(), to.Hostname()) {
		return false
	}
	a, b := portOf(from), portOf(to)
	return from.Scheme == to.Scheme && a == b || from.Scheme == "http" && to.Scheme == "https" && a == "80" && b == "443"
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

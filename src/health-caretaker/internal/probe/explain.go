package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// The kinds of result.
const (
	OK      = "ok"
	DNS     = "dns"
	Connect = "connect"
	TLS     = "tls"
	Timeout = "timeout"
	HTTP    = "http"
	Status  = "status"
	Text    = "text"
	Proxy   = "proxy"
)

// Kinds lists them all, for the metrics.
var Kinds = []string{OK, DNS, Connect, TLS, Timeout, HTTP, Status, Text, Proxy}

// explain says in plain words what stopped a check, and of which kind that is.
func (x *exchange) explain(err error, phase string) (kind, words string) {
	var dns *net.DNSError
	var dial *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return Timeout, fmt.Sprintf("no answer within %v (waiting for: %s)", x.endpoint.Timeout, phase)
	case errors.As(err, &dns) && dns.IsNotFound:
		return DNS, fmt.Sprintf("no such host: %s", dns.Name)
	case errors.As(err, &dns):
		return DNS, fmt.Sprintf("the name %s could not be looked up: %s", dns.Name, dns.Err)
	}
	if words := x.explainTLS(err); words != "" {
		return TLS, words
	}
	switch {
	case errors.As(err, &dial) && dial.Op == "dial" && dial.Addr == nil:
		return Connect, fmt.Sprintf("cannot connect: %v", dial.Err)
	case errors.Is(err, syscall.ECONNREFUSED) && dial != nil:
		return Connect, fmt.Sprintf("connection refused by %v", dial.Addr)
	case dial != nil && dial.Op == "dial":
		return Connect, fmt.Sprintf("cannot connect to %v: %v", dial.Addr, dial.Err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return HTTP, "the server closed the connection without a full answer"
	}
	words = bare(err).Error()
	switch {
	case strings.HasPrefix(words, "failed to parse Location header"): // and the rest is the address
		words = "the answer redirects to something that is not a URL"
	case strings.Contains(words, "malformed "):
		words = "the answer is not valid HTTP"
	}
	return HTTP, x.endpoint.Hide(words)
}

func (x *exchange) explainTLS(err error) string {
	var (
		verify  *tls.CertificateVerificationError
		expired x509.CertificateInvalidError
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		record  tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &expired) && expired.Reason == x509.Expired:
		return fmt.Sprintf("the certificate is valid from %s to %s only",
			expired.Cert.NotBefore.Format(time.DateOnly), expired.Cert.NotAfter.Format(time.DateOnly))
	case errors.As(err, &name):
		return fmt.Sprintf("the certificate is not for %s", name.Host)
	case errors.As(err, &unknown):
		return "the certificate is signed by an authority that is not trusted here"
	case errors.As(err, &verify):
		return fmt.Sprintf("the certificate is not valid: %v", verify.Err)
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "the server does not speak TLS on this port"
	case strings.Contains(bare(err).Error(), "tls: "): // alerts have no type of their own
		return "the TLS handshake failed: " + x.endpoint.Hide(bare(err).Error())
	}
	return ""
}

// bare takes off the URL, which may carry secrets in its query.
func bare(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// certEnd is when the server's certificate ends, also where it was refused for that.
func certEnd(response *http.Response, err error) time.Time {
	var refused *tls.CertificateVerificationError
	switch {
	case response != nil && response.TLS != nil && len(response.TLS.PeerCertificates) > 0:
		return response.TLS.PeerCertificates[0].NotAfter
	case errors.As(err, &refused) && len(refused.UnverifiedCertificates) > 0:
		return refused.UnverifiedCertificates[0].NotAfter
	}
	return time.Time{}
}

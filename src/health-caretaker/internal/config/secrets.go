package config

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
)

const (
	hidden = "xxxxx"
	// Shorter values also occur in ordinary words, which would be hidden, too.
	shortest = 4
)

// Address is the URL without secrets: no password, no fragment and no values of the query. A user name without a
// password, and a query without names, are usually tokens, and hidden, too.
func (e Endpoint) Address() string {
	parsed, err := url.Parse(e.URL)
	if err != nil {
		return ""
	}
	if password, _ := parsed.User.Password(); parsed.User != nil && password == "" {
		parsed.User = url.User(hidden)
	}
	shown := pairs(parsed)
	for i, pair := range shown {
		shown[i] = hidden
		if name, _, named := strings.Cut(pair, "="); named {
			shown[i] = name + "=" + hidden
		}
	}
	parsed.RawQuery = strings.Join(shown, "&")
	parsed.Fragment, parsed.RawFragment = "", ""
	return parsed.Redacted()
}

// Hide removes the secrets of an endpoint from a text: errors quote servers, which may repeat what they received.
func (e Endpoint) Hide(text string) string {
	var secrets []string
	add := func(values ...string) {
		for _, value := range values {
			if len(value) >= shortest {
				secrets = append(secrets, value)
			}
		}
	}
	add(e.Body)
	for name, value := range e.Headers {
		if strings.EqualFold(name, "Host") {
			continue
		}
		_, token, _ := strings.Cut(value, " ") // of "Bearer TOKEN"
		add(value, token)
	}
	if parsed, err := url.Parse(e.URL); err == nil {
		if parsed.User != nil {
			word, _ := parsed.User.Password()
			_, written, _ := strings.Cut(parsed.User.String(), ":")
			add(word, written, base64.StdEncoding.EncodeToString([]byte(parsed.User.Username()+":"+word)))
			if word == "" {
				add(parsed.User.Username(), parsed.User.String())
			}
		}
		add(parsed.RawQuery)
		for _, pair := range pairs(parsed) {
			name, value, named := strings.Cut(pair, "=")
			if !named {
				value = name
			}
			add(value)
			if read, err := url.QueryUnescape(value); err == nil {
				add(read)
			}
		}
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // the whole before its parts
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, hidden)
	}
	return text
}

// pairs are the parts of a query as they are written. url.Values leaves out those that it cannot read.
func pairs(u *url.URL) []string {
	return strings.FieldsFunc(u.RawQuery, func(r rune) bool { return r == '&' || r == ';' })
}

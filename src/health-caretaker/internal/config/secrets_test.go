package config

import (
	"strings"
	"testing"
)

func TestAddressesWithoutSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"https://a.example/b":                         "https://a.example/b",
		"http://user:s3cret@a/b?token=s3cret":         "http://user:xxxxx@a/b?token=xxxxx",
		"http://user:s3c%40ret@a/":                    "http://user:xxxxx@a/",
		"https://s3cret@a/":                           "https://xxxxx@a/",
		"https://s3cret:@a/":                          "https://xxxxx@a/",
		"https://:s3cret@a/":                          "https://:xxxxx@a/",
		"https://a/?s3cret":                           "https://a/?xxxxx",
		"https://a/?key=s3cret&key=s3cret&b":          "https://a/?key=xxxxx&key=xxxxx&xxxxx",
		"https://a/?b=1;sig=s3cret":                   "https://a/?b=xxxxx&sig=xxxxx",
		"https://a/?sig=s3cret%zz&b=%73%33cret":       "https://a/?sig=xxxxx&b=xxxxx",
		"https://a/?code=s3cret==":                    "https://a/?code=xxxxx",
		"https://a/#access_token=s3cret":              "https://a/",
		"https://[::1]:8443/a?X-Amz-Signature=s3cret": "https://[::1]:8443/a?X-Amz-Signature=xxxxx",
	} {
		if got := (Endpoint{URL: text}).Address(); got != want {
			t.Errorf("%s is shown as %s", text, got)
		}
	}
}

func TestSecretsAreTakenOutOfTexts(t *testing.T) {
	e := Endpoint{
		URL:     "https://user:pass%20w%3Ard@a/?token=s3cr%2Fet&key=1&bare-token",
		Headers: map[string]string{"Authorization": "Bearer t0ken", "X-Key": "k3yk3y", "Host": "host.example"},
		Body:    "b0dy",
	}
	for text, want := range map[string]string{
		"said s3cr%2Fet and s3cr/et":           "said xxxxx and xxxxx",
		"said pass w:rd and pass%20w%3Ard":     "said xxxxx and xxxxx",
		"said dXNlcjpwYXNzIHc6cmQ=":            "said xxxxx",
		"said Bearer t0ken, t0ken, bare-token": "said xxxxx, xxxxx, xxxxx",
		"said k3yk3y, b0dy, 1, host.example":   "said xxxxx, xxxxx, 1, host.example",
	} {
		if got := e.Hide(text); got != want {
			t.Errorf("%s became %s", text, got)
		}
	}
	if got := (Endpoint{URL: "https://t0ken@a"}).Hide("said t0ken"); strings.Contains(got, "t0ken") {
		t.Error(got)
	}
}

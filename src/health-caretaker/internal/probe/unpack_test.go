package probe

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func packed(t *testing.T, text string, packer func(io.Writer) io.WriteCloser) string {
	t.Helper()
	var out bytes.Buffer
	w := packer(&out)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func toGzip(w io.Writer) io.WriteCloser  { return gzip.NewWriter(w) }
func toZlib(w io.Writer) io.WriteCloser  { return zlib.NewWriter(w) }
func toFlate(w io.Writer) io.WriteCloser { f, _ := flate.NewWriter(w, 9); return f }

func TestCompressedAnswers(t *testing.T) {
	pong := packed(t, "ping pong", toGzip)
	bomb := packed(t, strings.Repeat("\x00", 10<<20)+"pong", toGzip)
	empty := packed(t, "", toGzip) // a member that unpacks to nothing; two MiB of them
	empty = strings.Repeat(empty, 2<<20/len(empty))
	for _, test := range []struct {
		encoding, body string
		kind, words    string
	}{
		{"gzip", pong, OK, ""},
		{"X-GZIP", pong, OK, ""},
		{"identity, gzip", pong, OK, ""},
		{"gzip, gzip", packed(t, pong, toGzip), OK, ""},
		{"deflate, gzip", packed(t, packed(t, "pong", toZlib), toGzip), OK, ""},
		{"deflate", packed(t, "pong", toZlib), OK, ""},
		{"deflate", packed(t, "pong", toFlate), OK, ""},
		{"gzip", packed(t, "ping", toGzip), Text, `the answer does not contain "pong"`},
		{"gzip", "", Text, `the answer does not contain "pong"`},
		{"gzip", "not gzip at all", Text, "the answer has Content-Encoding gzip, but cannot be unpacked: gzip: invalid header"},
		{"deflate", "\xff\xff\xff", Text, "the answer has Content-Encoding deflate, but cannot be unpacked: flate: corrupt"},
		{"gzip", pong[:len(pong)-4] + "xxxx", Text, "the answer has Content-Encoding gzip, but"},
		{"gzip", pong[:len(pong)-9], HTTP, "the server closed the connection without a full answer"},
		{"br", "pung", Text, "the answer is compressed (br), which is not supported"},
		{"zstd", "pung", Text, "the answer is compressed (zstd), which"},
		{"gzip, gzip, gzip, gzip", pong, Text, "the answer is compressed 4 times"},
		{"", pong, Text, `the answer does not contain "pong"; it is compressed, and has no Content-Encoding`},
		{"gzip", bomb, Text, `the answer does not contain "pong"`},
		{"gzip", empty, Text, `the answer does not contain "pong"`},
		{"gzip, gzip", packed(t, empty, toGzip), Text, `the answer does not contain "pong"`},
		{"gzip", packed(t, "pong"+strings.Repeat("\x00", 10<<20), toGzip), OK, ""},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if test.encoding != "" {
				w.Header().Set("Content-Encoding", test.encoding)
			}
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, test.body)
		}))
		e := endpoint(s.URL)
		e.ExpectText, e.Headers = "pong", map[string]string{"accept-encoding": "gzip, deflate, br"}
		begun := time.Now()
		r := New("agent/1", nil).Check(t.Context(), e)
		s.Close()
		if r.Kind != test.kind || !strings.HasPrefix(r.Error, test.words) || time.Since(begun) > 3*time.Second {
			t.Errorf("%s, %.20q: %+v", test.encoding, test.body, r)
		}
	}
}

func TestACompressedAnswerToHEADIsEmpty(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
	}))
	defer s.Close()
	e := endpoint(s.URL)
	e.Method, e.ExpectText = "HEAD", "pong"
	if r := New("agent/1", nil).Check(t.Context(), e); r.Kind != Text {
		t.Errorf("%+v", r)
	}
}

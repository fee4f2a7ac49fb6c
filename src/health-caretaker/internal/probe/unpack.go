package probe

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxLayers is how often an answer may be compressed.
const maxLayers = 3

// packedError is an answer whose text cannot be read.
type packedError string

func (e packedError) Error() string { return string(e) }

// text is the first MiB of an answer, unpacked. Transport unpacks only gzip that it asked for itself, which it does not
// do when Accept-Encoding is configured; and some servers always compress. Each layer is limited to a MiB, so that a
// small answer cannot cause unbounded work.
func text(response *http.Response) ([]byte, error) {
	var encodings []string
	for encoding := range strings.SplitSeq(strings.Join(response.Header.Values("Content-Encoding"), ","), ",") {
		encoding = strings.ToLower(strings.TrimSpace(encoding))
		if encoding != "" && encoding != "identity" {
			encodings = append(encodings, encoding)
		}
	}
	if len(encodings) > maxLayers {
		return nil, packedError(fmt.Sprintf("the answer is compressed %d times (%s)", len(encodings), strings.Join(encodings, ", ")))
	}
	reader := &limited{reader: response.Body, left: maxBody}
	layers := []*limited{reader}
	for i := len(encodings) - 1; i >= 0; i-- {
		unpacked, err := unpack(encodings[i], reader)
		if errors.Is(err, io.EOF) {
			return nil, nil // nothing, which is compressed to nothing: an answer to HEAD
		}
		if err != nil {
			return nil, unpackable(encodings[i], err)
		}
		reader = &limited{reader: unpacked, left: maxBody}
		layers = append(layers, reader)
	}
	content, err := io.ReadAll(reader)
	for _, layer := range layers {
		if layer.left == 0 {
			return content, nil // what comes after the first MiB is not looked at, and missed by no layer
		}
	}
	if err != nil && len(encodings) > 0 {
		return content, unpackable(strings.Join(encodings, ", "), err)
	}
	return content, err
}

// limited is an io.LimitedReader that ends after so many bytes and records that it did.
type limited struct {
	reader io.Reader
	left   int
}

func (l *limited) Read(into []byte) (int, error) {
	if l.left == 0 {
		return 0, io.EOF
	}
	n, err := l.reader.Read(into[:min(len(into), l.left)])
	l.left -= n
	return n, err
}

func unpack(encoding string, packed io.Reader) (io.Reader, error) {
	switch encoding {
	case "gzip", "x-gzip":
		return gzip.NewReader(packed)
	case "deflate":
		// The standard means zlib; many servers send it without zlib's header.
		buffered := bufio.NewReader(packed)
		start, err := buffered.Peek(2)
		if len(start) == 2 && start[0]&0x0f == 8 && (int(start[0])<<8|int(start[1]))%31 == 0 {
			return zlib.NewReader(buffered)
		}
		if len(start) == 0 {
			return nil, err
		}
		return flate.NewReader(buffered), nil
	}
	return nil, packedError(fmt.Sprintf("the answer is compressed (%s), which is not supported, so expect_text cannot be checked; "+
		"leave Accept-Encoding out of headers, or set it to gzip", encoding))
}

// unpackable separates corrupt data from a broken connection.
func unpackable(encoding string, err error) error {
	var corrupt flate.CorruptInputError
	for _, broken := range []error{gzip.ErrHeader, gzip.ErrChecksum, zlib.ErrHeader, zlib.ErrChecksum, zlib.ErrDictionary} {
		if errors.Is(err, broken) || errors.As(err, &corrupt) {
			return packedError(fmt.Sprintf("the answer has Content-Encoding %s, but cannot be unpacked: %v", encoding, err))
		}
	}
	return err
}

// looksPacked says whether a text is compressed without a Content-Encoding that would say so.
func looksPacked(content []byte) bool {
	return bytes.HasPrefix(content, []byte("\x1f\x8b\x08")) || bytes.HasPrefix(content, []byte("\x28\xb5\x2f\xfd"))
}

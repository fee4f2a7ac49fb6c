package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Problems is everything that is wrong with a configuration, each with the path of its field.
type Problems []string

func (p Problems) Error() string { return strings.Join(p, "\n") }

// add keeps the first problem of each field: what follows from it would only distract.
func (p *Problems) add(path, format string, args ...any) {
	for _, known := range *p {
		if strings.HasPrefix(known, path+": ") {
			return
		}
	}
	*p = append(*p, path+": "+fmt.Sprintf(format, args...))
}

// object is a JSON object that is read field by field. encoding/json alone stops at the first
// unknown field, takes names in any case, and lets the last of two equal fields win.
type object struct {
	path     string
	fields   map[string]json.RawMessage
	known    []string
	problems *Problems
}

func readObject(path string, content []byte, problems *Problems) (*object, bool) {
	o := &object{path: path, fields: map[string]json.RawMessage{}, problems: problems}
	decoder := json.NewDecoder(bytes.NewReader(content))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		problems.add(o.name(), "must be an object { ... }")
		return nil, false
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			problems.add(o.name(), "%v", err)
			return nil, false
		}
		name, _ := key.(string)
		if _, twice := o.fields[name]; twice {
			problems.add(o.at(name), "is written twice")
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			problems.add(o.at(name), "%v", err)
			return nil, false
		}
		o.fields[name] = value
	}
	return o, true
}

func (o *object) name() string {
	if o.path == "" {
		return "config"
	}
	return o.path
}

// at is the path of a field, on one line whatever its name is.
func (o *object) at(names ...string) string {
	path := o.path
	for _, name := range names {
		if quoted := strconv.Quote(name); name == "" || strings.Contains(name, ": ") || quoted != `"`+name+`"` {
			name = quoted
		}
		path = strings.TrimPrefix(path+"."+name, ".")
	}
	return path
}

// field reads one field into its place; where it is absent the default stays.
func field[T any](o *object, name string, into *T) {
	o.known = append(o.known, name)
	raw, ok := o.fields[name]
	if !ok {
		return
	}
	value := *new(T)
	if string(raw) == "null" {
		o.problems.add(o.at(name), "must not be null; leave it out for the default")
		return
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		o.problems.add(o.at(name), "%s", plain(err))
		return
	}
	*into = value
}

// texts reads an object whose values are all text.
func texts(o *object, name string, into *map[string]string) {
	var raw json.RawMessage
	field(o, name, &raw)
	if raw == nil {
		return
	}
	inner, ok := readObject(o.at(name), raw, o.problems)
	if !ok {
		return
	}
	read := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(inner.fields)) {
		var text string
		field(inner, key, &text)
		read[key] = text
	}
	*into = read
}

// plain says a decoder's error without Go's type names.
func plain(err error) string {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err.Error()
	}
	words := map[string]string{"int": "a whole number", "bool": "true or false", "string": "text in quotes"}
	want, ok := words[wrong.Type.Kind().String()]
	if !ok {
		want = "a list or an object of another shape"
	}
	return fmt.Sprintf("must be %s, not %s", want, wrong.Value)
}

// done refuses the fields that nobody asked for.
func (o *object) done() {
	for _, name := range slices.Sorted(maps.Keys(o.fields)) {
		if !slices.Contains(o.known, name) {
			o.problems.add(o.at(name), "unknown field; known are %s", strings.Join(o.known, ", "))
		}
	}
}

// decoded returns the text of a file without a byte order mark, which RFC 8259 allows to ignore, and refuses other
// encodings than UTF-8: encoding/json reports them as an invalid character, or silently replaces bytes.
func decoded(content []byte) ([]byte, error) {
	for _, other := range []struct{ start, name string }{
		{"\xff\xfe\x00\x00", "UTF-32"}, {"\x00\x00\xfe\xff", "UTF-32"},
		{"\xff\xfe", "UTF-16"}, {"\xfe\xff", "UTF-16"}, {"{\x00", "UTF-16"}, {"\x00{", "UTF-16"},
	} {
		if bytes.HasPrefix(content, []byte(other.start)) {
			return nil, fmt.Errorf("line 1: not JSON: the file is encoded in %s; save it as UTF-8", other.name)
		}
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	for rest, at := content, 0; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError && size == 1 {
			return nil, fmt.Errorf("line %d: not JSON: a byte that is not UTF-8; save the file as UTF-8", line(content, at))
		}
		rest, at = rest[size:], at+size
	}
	return content, nil
}

// wellFormed finds broken JSON and anything after the value, and says the line.
func wellFormed(content []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(content))
	var value json.RawMessage
	err := decoder.Decode(&value)
	at := int(decoder.InputOffset())
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		rest := bytes.TrimLeft(content[at:], " \t\r\n")
		if len(rest) == 0 {
			return nil
		}
		err, at = errors.New("there is something after the end of the object"), len(content)-len(rest)
	case errors.Is(err, io.EOF):
		err = errors.New("the file is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		err, at = errors.New("the file ends in the middle of the object"), len(content)
	case errors.As(err, &syntax):
		err, at = hinted(syntax, content), int(syntax.Offset)
	}
	return fmt.Errorf("line %d: not JSON: %w", line(content, at), err)
}

// hinted adds the usual cause of an invalid character.
func hinted(err *json.SyntaxError, content []byte) error {
	at := min(int(err.Offset), len(content)) - 1
	if at < 0 {
		return err
	}
	before := bytes.TrimRight(content[:at], " \t\r\n")
	switch c := content[at]; {
	case (c == '}' || c == ']') && bytes.HasSuffix(before, []byte(",")):
		return fmt.Errorf("%w: remove the comma before it", err)
	case c == '/' || c == '#':
		return fmt.Errorf("%w: JSON has no comments", err)
	case c == '\'':
		return fmt.Errorf("%w: JSON needs double quotes", err)
	}
	return err
}

// line is the number of the line of an offset.
func line(content []byte, at int) int {
	return 1 + bytes.Count(content[:min(at, len(content))], []byte("\n"))
}

package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// duration is written "30s" or "1m30s", or as a number of seconds.
type duration time.Duration

func (d *duration) UnmarshalJSON(raw []byte) error {
	text := string(raw)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(raw, &text); err != nil {
			return err
		}
	} else {
		text += "s"
	}
	value, err := time.ParseDuration(text)
	if err != nil {
		return errors.New(`must be a duration such as "30s" or "1m30s"`)
	}
	*d = duration(value)
	return nil
}

// Statuses are the codes an endpoint may answer with, as ranges.
type Statuses []struct{ From, To int }

// Contain says whether a code is one of them.
func (s Statuses) Contain(code int) bool {
	for _, span := range s {
		if span.From <= code && code <= span.To {
			return true
		}
	}
	return false
}

func (s Statuses) String() string {
	words := make([]string, len(s))
	for i, span := range s {
		words[i] = strconv.Itoa(span.From)
		if span.To != span.From {
			words[i] += "-" + strconv.Itoa(span.To)
		}
	}
	return strings.Join(words, ", ")
}

// UnmarshalJSON takes 200, "200", "200-299", "2xx", or a list of these.
func (s *Statuses) UnmarshalJSON(raw []byte) error {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		items = []json.RawMessage{raw}
	}
	if len(items) == 0 {
		return errors.New("must name at least one status code")
	}
	for _, item := range items {
		text := strings.Trim(string(item), `"`)
		if class, ok := strings.CutSuffix(text, "xx"); ok {
			text = class + "00-" + class + "99"
		}
		from, to, isRange := strings.Cut(text, "-")
		if !isRange {
			to = from
		}
		low, errLow := strconv.Atoi(from)
		high, errHigh := strconv.Atoi(to)
		if errLow != nil || errHigh != nil || low < 100 || high > 599 || low > high {
			return fmt.Errorf(`%s is not a status code (200), a range ("200-299") or a class ("2xx")`, item)
		}
		*s = append(*s, struct{ From, To int }{low, high})
	}
	return nil
}

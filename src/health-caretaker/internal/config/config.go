// Package config reads config.json and refuses what it does not understand, everything at once.
package config

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"time"
)

// Config is one valid configuration.
type Config struct {
	WebPort        int
	MetricsPort    int
	MaxConcurrent  int
	History        int
	AllowedOrigins []string
	Endpoints      []Endpoint
}

// Endpoint is one thing to watch.
type Endpoint struct {
	Name            string
	URL             string
	Method          string
	Headers         map[string]string
	Body            string
	Interval        time.Duration
	Timeout         time.Duration
	ExpectStatus    Statuses
	ExpectText      string
	FollowRedirects bool
	ServerName      string
	FailuresToDown  int
	SuccessesToUp   int
	Labels          map[string]string
}

// Default is what holds where the file is silent, or where there is none.
func Default() Config {
	return Config{WebPort: 8080, MetricsPort: 9091, MaxConcurrent: 100, History: 100}
}

func defaultEndpoint() Endpoint {
	return Endpoint{
		Method:          "GET",
		Interval:        30 * time.Second,
		Timeout:         10 * time.Second,
		ExpectStatus:    Statuses{{200, 299}},
		FollowRedirects: true,
		FailuresToDown:  1,
		SuccessesToUp:   1,
	}
}

// File is a configuration together with the bytes it came from.
type File struct {
	Config Config
	Sum    [sha256.Size]byte
	Exists bool
}

// Load reads a file. No file is no error: nothing is watched then.
func Load(path string) (File, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return File{Config: Default()}, nil
	}
	if err != nil {
		return File{}, err
	}
	read, err := Parse(content)
	return File{Config: read, Sum: sha256.Sum256(content), Exists: true}, err
}

var portInText = regexp.MustCompile(`"web_port"\s*:\s*([0-9]{1,5})\b`)

// WebPort is the port that a file asks for, also where the rest of the file is refused. A file that
// is not there or says nothing readable of it asks for the default.
func WebPort(path string) int {
	content, err := os.ReadFile(path)
	if err != nil {
		return Default().WebPort
	}
	if read, err := Parse(content); err == nil {
		return read.WebPort
	}
	found := portInText.FindSubmatch(content)
	if found == nil {
		return Default().WebPort
	}
	port, err := strconv.ParseUint(string(found[1]), 10, 16)
	if err != nil {
		return Default().WebPort
	}
	return int(port)
}

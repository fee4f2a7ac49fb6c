// Package version says what this program is: its version, commit, compiler and platform.
package version

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Info names one build.
type Info struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// New reads the commit out of the binary itself, so it cannot differ from what was compiled.
func New(version string) Info {
	info := Info{
		Version:  version,
		Commit:   "unknown",
		Go:       runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				info.Commit = setting.Value
			}
		}
	}
	return info
}

// String is the line for people.
func (i Info) String() string {
	return fmt.Sprintf("health-caretaker %s (commit %s, %s, %s)", i.Version, i.Commit, i.Go, i.Platform)
}

// JSON is the line for programs.
func (i Info) JSON() string {
	line, err := json.Marshal(i)
	if err != nil {
		panic(err) // four strings always encode
	}
	return string(line)
}

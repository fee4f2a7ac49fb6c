package config

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long a file is left alone after a change: editors write in several steps.
const settle = 100 * time.Millisecond

// look is how often the file is read without an event: network and shared file systems send none, and inotify
// instances are limited.
const look = 30 * time.Second

// Status says which configuration is in force, and whether the file on disk is another, refused one.
type Status struct {
	Path     string    `json:"path"`
	Valid    bool      `json:"valid"`
	Error    string    `json:"error,omitempty"`
	LoadedAt time.Time `json:"loaded_at"`
	Reloads  uint64    `json:"reloads"`
	Refusals uint64    `json:"refusals"`
}

// Keeper holds the configuration that is in force. A bad new file leaves the old one there.
type Keeper struct {
	path  string
	log   *slog.Logger
	apply func(Config)
	look  time.Duration
	late  bool // the log has a line about a folder that cannot be watched

	mu     sync.Mutex
	config Config
	exists bool
	sum    [sha256.Size]byte
	status Status
}

// NewKeeper reads the file for the first time and refuses a bad one.
func NewKeeper(path string, log *slog.Logger) (*Keeper, error) {
	file, err := Load(path)
	if err != nil {
		return nil, err
	}
	if !file.Exists {
		log.Warn("no configuration, so nothing is watched", "path", path)
	}
	return &Keeper{
		path: path, log: log, apply: func(Config) {}, look: look, config: file.Config, exists: file.Exists, sum: file.Sum,
		status: Status{Path: path, Valid: true, LoadedAt: time.Now()},
	}, nil
}

// OnReload names the one who takes the configuration over, after each attempt: after a bad one
// it is the old configuration again. Call it before Watch.
func (k *Keeper) OnReload(apply func(Config)) { k.apply = apply }

// Config is what is in force.
func (k *Keeper) Config() Config {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.config
}

// Status says how the last reload went.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}

// Reload reads the file again. Where nobody asked, equal bytes are not news.
func (k *Keeper) Reload(asked bool) {
	file, err := Load(k.path)
	if k.take(file, err, asked) {
		k.apply(k.Config())
	}
}

func (k *Keeper) take(file File, err error, asked bool) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil && k.exists && !file.Exists {
		// At the start this means "nothing to watch"; here it is rather an accident.
		err = errors.New("the file is gone")
	}
	if !asked && file.Sum == k.sum && (err == nil) == k.status.Valid && (err == nil || err.Error() == k.status.Error) {
		return false
	}
	k.sum = file.Sum
	if err != nil {
		k.status.Valid, k.status.Error = false, err.Error()
		k.status.Refusals++
		k.log.Error("the new configuration is refused, the old one stays", "path", k.path, "error", err)
		return true
	}
	if file.Config.WebPort != k.config.WebPort || file.Config.MetricsPort != k.config.MetricsPort ||
		file.Config.MaxConcurrent != k.config.MaxConcurrent {
		k.log.Warn("ports and max_concurrent change with the next start only")
	}
	k.config, k.exists = file.Config, file.Exists
	k.status.Valid, k.status.Error, k.status.LoadedAt = true, "", time.Now()
	k.status.Reloads++
	k.log.Info("configuration loaded", "path", k.path, "endpoints", len(k.config.Endpoints))
	return true
}

// Watch reloads on each hangup and when the file changes, until the context ends. Besides the system's events it
// compares the content periodically; modification times are not reliable for files that were copied or mounted.
func (k *Keeper) Watch(ctx context.Context, hangup <-chan os.Signal) {
	var events <-chan fsnotify.Event // without a watcher both stay nil, and silent
	var failures <-chan error
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		k.log.Warn("the configuration file cannot be watched; it is read again periodically, and only SIGHUP reloads it at once", "period", k.look, "error", err)
	} else {
		defer watcher.Close()
		events, failures = watcher.Events, watcher.Errors
		k.observe(watcher)
	}
	k.Reload(false) // there was no event for a change since the start
	ticks := time.NewTicker(k.look)
	defer ticks.Stop()
	var settled <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			k.observe(watcher)
			k.Reload(true)
		case err := <-failures:
			k.log.Warn("watching the configuration", "error", err)
		case <-events:
			if settled == nil {
				settled = time.After(settle)
			}
		case <-ticks.C:
			k.observe(watcher) // a folder that was made anew
			k.Reload(false)
		case <-settled:
			settled = nil
			k.observe(watcher)
			k.Reload(false)
		}
	}
}

// observe asks for changes of the folder, where files are replaced by rename or by a link
// (as Kubernetes does), and of the file, which may be mounted alone.
func (k *Keeper) observe(watcher *fsnotify.Watcher) {
	if watcher == nil {
		return
	}
	if err := watcher.Add(filepath.Dir(k.path)); err != nil {
		if !k.late {
			k.log.Info("the configuration file cannot be watched; it is read again periodically, and only SIGHUP reloads it at once", "period", k.look, "error", err)
		}
		k.late = true
	}
	_ = watcher.Add(k.path) // it need not be there
}

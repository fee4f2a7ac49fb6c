package config

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func watching(name string) string {
	return `{"endpoints": [{"name": "` + name + `", "url": "http://a"}]}`
}

// write replaces a file in one step, so that no test depends on when a half written one is read.
func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// kept is a running Keeper, with what it was told to apply.
type kept struct {
	*Keeper
	path    string
	applied chan Config
	hangup  chan os.Signal
}

func keep(t *testing.T, path string) kept {
	t.Helper()
	keeper, err := NewKeeper(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	k := kept{keeper, path, make(chan Config, 10), make(chan os.Signal)}
	keeper.OnReload(func(c Config) { k.applied <- c })
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		keeper.Watch(ctx, k.hangup)
	}()
	t.Cleanup(func() { stop(); <-ended })
	k.hangup <- syscall.SIGHUP // answered only by a Keeper that watches
	<-k.applied
	return k
}

// next waits for a reload and says which endpoint is watched then, and why the file is refused.
func (k kept) next(t *testing.T) (name, refusal string) {
	t.Helper()
	select {
	case c := <-k.applied:
		if len(c.Endpoints) > 0 {
			name = c.Endpoints[0].Name
		}
		return name, k.Status().Error
	case <-time.After(5 * time.Second):
		t.Fatal("no reload within 5 s")
		return "", ""
	}
}

func TestAChangeOfTheFileIsTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	write(t, path, watching("a"))
	k := keep(t, path)
	write(t, path, watching("b"))
	if name, refusal := k.next(t); name != "b" || refusal != "" {
		t.Errorf("replaced: watching %q, refusal %q", name, refusal)
	}
	if err := os.WriteFile(path, []byte(watching("c")), 0o600); err != nil {
		t.Fatal(err)
	}
	name, _ := k.next(t)
	for name == "b" { // a machine that is slow may read the file while it is empty
		name, _ = k.next(t)
	}
	if name != "c" {
		t.Errorf("written in place: watching %q", name)
	}
}

func TestAChangeBeforeTheFileIsWatchedIsTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	write(t, path, watching("a"))
	keeper, err := NewKeeper(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, watching("b"))
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	keeper.OnReload(func(Config) { stop() })
	keeper.Watch(ctx, nil)
	if name := keeper.Config().Endpoints[0].Name; name != "b" {
		t.Errorf("watching %q", name)
	}
}

// Kubernetes mounts a link into a folder that is a link itself, and swaps the inner one.
func TestALinkThatIsSwappedIsTakenOver(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "config.json")
	for _, name := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, name, "config.json"), watching(name))
	}
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("a", "data")
	link("data/config.json", "config.json")
	k := keep(t, path)
	link("b", "data.new")
	if err := os.Rename(filepath.Join(folder, "data.new"), filepath.Join(folder, "data")); err != nil {
		t.Fatal(err)
	}
	if name, _ := k.next(t); name != "b" {
		t.Errorf("watching %q", name)
	}
}

func TestABadNewFileLeavesTheOldOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	write(t, path, watching("a"))
	k := keep(t, path)

	write(t, path, `{"endpoint": []}`)
	if name, refusal := k.next(t); name != "a" || !strings.HasPrefix(refusal, "endpoint: unknown field") {
		t.Errorf("watching %q, refusal %q", name, refusal)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if name, refusal := k.next(t); name != "a" || refusal != "the file is gone" {
		t.Errorf("watching %q, refusal %q", name, refusal)
	}
	write(t, path, watching("a")) // the very bytes that are in force
	if name, refusal := k.next(t); name != "a" || refusal != "" {
		t.Errorf("watching %q, refusal %q", name, refusal)
	}
	k.hangup <- syscall.SIGHUP
	k.next(t)
	if s := k.Status(); !s.Valid || s.Reloads != 3 || s.Refusals != 2 {
		t.Errorf("status %+v", s)
	}
}

func TestNoFileIsNothingToWatchAndABadOneIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	k := keep(t, path)
	if c := k.Config(); len(c.Endpoints) != 0 || c.WebPort != 8080 || c.MetricsPort != 9091 {
		t.Errorf("without a file: %+v", c)
	}
	write(t, path, watching("a"))
	if name, _ := k.next(t); name != "a" {
		t.Errorf("a file that appears is not taken over: watching %q", name)
	}
	write(t, path, "{")
	if _, err := NewKeeper(path, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a bad file is accepted at the start")
	}
}

// noMoreFiles makes every opening of a file fail, as on a machine that is out of watchers.
func noMoreFiles(t *testing.T) (again func()) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	again = func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) }
	t.Cleanup(again)
	return again
}

// lines is a log that hands each line over.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// blind is a Keeper that runs without a watcher and looks often.
func blind(t *testing.T, path string) *Keeper {
	t.Helper()
	log := make(lines, 100)
	keeper, err := NewKeeper(path, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	keeper.look = 10 * time.Millisecond
	again := noMoreFiles(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		keeper.Watch(ctx, nil)
	}()
	t.Cleanup(func() { stop(); <-ended })
	if said := <-log; !strings.Contains(said, "cannot be watched") {
		t.Fatalf("the watcher did not fail: %s", said)
	}
	again()
	return keeper
}

// until waits for a state of the Keeper.
func until(t *testing.T, keeper *Keeper, what string, reached func(Status, Config) bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !reached(keeper.Status(), keeper.Config()); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: %+v", what, keeper.Status())
		}
	}
}

func TestChangesAreFoundWhereNothingTellsOfThem(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "config.json")
	write(t, path, watching("a"))
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	keeper := blind(t, path)
	until(t, keeper, "at the start", func(s Status, _ Config) bool { return s.Valid })
	before := keeper.Status()
	time.Sleep(20 * keeper.look)
	if s := keeper.Status(); s != before {
		t.Errorf("the same file was loaded again: %+v", s)
	}
	named := func(name string) func(Status, Config) bool {
		return func(s Status, c Config) bool { return s.Valid && c.Endpoints[0].Name == name }
	}
	if err := os.WriteFile(path, []byte(watching("b")), 0o600); err != nil { // as long as before, and as old
		t.Fatal(err)
	}
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	until(t, keeper, "written in place", named("b"))
	write(t, path, watching("c"))
	until(t, keeper, "replaced", named("c"))
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	until(t, keeper, "gone", func(s Status, c Config) bool {
		return s.Error == "the file is gone" && c.Endpoints[0].Name == "c"
	})
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	until(t, keeper, "a folder in its place", func(s Status, _ Config) bool { return strings.Contains(s.Error, "is a directory") })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, watching("c"))
	until(t, keeper, "back", named("c"))
}

func TestAFolderThatIsMadeAnewIsWatchedAgain(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "config")
	path := filepath.Join(folder, "config.json")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, path, watching("a"))
	k := keep(t, path)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if _, refusal := k.next(t); refusal != "the file is gone" {
		t.Errorf("refusal %q", refusal)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, path, watching("b"))
	k.hangup <- syscall.SIGHUP // or half a minute later
	if name, _ := k.next(t); name != "b" {
		t.Errorf("watching %q", name)
	}
	write(t, path, watching("c"))
	if name, _ := k.next(t); name != "c" {
		t.Errorf("watching %q", name)
	}
}

func TestAHangupWorksWhereChangesCannotBeSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	write(t, path, watching("a"))
	log := make(lines, 10)
	keeper, err := NewKeeper(path, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, watching("b"))
	again := noMoreFiles(t)
	ctx, stop := context.WithCancel(t.Context())
	hangup, ended := make(chan os.Signal), make(chan struct{})
	go func() {
		defer close(ended)
		keeper.Watch(ctx, hangup)
	}()
	defer func() { stop(); <-ended }()
	if said := <-log; !strings.Contains(said, "only SIGHUP") {
		t.Fatalf("the watcher did not fail: %s", said)
	}
	again()
	for range 2 {
		hangup <- syscall.SIGHUP
	}
	if c := keeper.Config(); c.Endpoints[0].Name != "b" {
		t.Errorf("watching %q", c.Endpoints[0].Name)
	}
}

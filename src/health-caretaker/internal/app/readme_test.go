package app

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sealift/health-caretaker/internal/config"
)

func readme(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// example is the JSON that the README shows.
func example(t *testing.T) string {
	t.Helper()
	found := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(readme(t))
	if found == nil {
		t.Fatal("there is no example")
	}
	return found[1]
}

// fields are all that the service knows: it lists them when it refuses one that it does not know.
func fields(t *testing.T) []string {
	t.Helper()
	_, err := config.Parse([]byte(`{"?": 1, "endpoints": [{"?": 1}]}`))
	lists := regexp.MustCompile(`\?: unknown field; known are (.*)`).FindAllStringSubmatch(fmt.Sprint(err), -1)
	if len(lists) != 2 {
		t.Fatalf("said of unknown fields: %v", err)
	}
	return append(strings.Split(lists[0][1], ", "), strings.Split(lists[1][1], ", ")...)
}

func TestTheExampleOfTheReadmeIsValid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(example(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := CheckConfig(Options{ConfigPath: path}, &out); err != nil || !strings.Contains(out.String(), "endpoints: 2") {
		t.Errorf("said %q, %v", out.String(), err)
	}
}

func TestTheReadmeNamesEveryField(t *testing.T) {
	text, shown := readme(t), example(t)
	for _, name := range fields(t) {
		if !strings.Contains(text, "\n| `"+name+"` | ") {
			t.Errorf("%s has no row", name)
		}
		if !strings.Contains(shown, `"`+name+`": `) {
			t.Errorf("%s is not in the example", name)
		}
	}
}

func TestTheReadmeNamesTheDefaults(t *testing.T) {
	file, err := config.Parse([]byte(`{"endpoints": [{"name": "a", "url": "http://a"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	one, text := file.Endpoints[0], readme(t)
	for name, value := range map[string]any{
		"web_port": file.WebPort, "metrics_port": file.MetricsPort,
		"max_concurrent": file.MaxConcurrent, "history": file.History,
		"method": one.Method, "interval": one.Interval, "timeout": one.Timeout, "follow_redirects": one.FollowRedirects,
		"failures_to_down": one.FailuresToDown, "successes_to_up": one.SuccessesToUp,
	} {
		row := regexp.MustCompile("\n\\| `" + name + "` \\| [^|]* \\| `?" + regexp.QuoteMeta(fmt.Sprint(value)) + `\b`)
		if !row.MatchString(text) {
			t.Errorf("the row of %s does not name its default, %v", name, value)
		}
	}
}

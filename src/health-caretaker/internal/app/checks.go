package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sealift/health-caretaker/internal/config"
)

// HealthCheck asks the service that runs beside this process. Images without a shell need it.
func HealthCheck(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var failures []error
	for _, port := range o.candidates() {
		err := alive(ctx, port)
		if err == nil {
			return nil
		}
		failures = append(failures, err)
	}
	return fmt.Errorf("not healthy: %w", errors.Join(failures...))
}

// candidates are the ports where the service may be. It keeps the port of its start, which a flag or
// a variable fixes. The file may have another one by now, or be refused as a whole: then its port and
// the default are both tried, for a service that started before the file named any.
func (o Options) candidates() []int {
	if o.WebPort != nil {
		return []int{*o.WebPort}
	}
	return slices.Compact([]int{config.WebPort(o.ConfigPath), config.Default().WebPort})
}

// alive asks one port. A stranger that listens there does not answer in the service's own words.
func alive(ctx context.Context, port int) error {
	address := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) + "/healthz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", address, response.Status)
	}
	var said struct{ Status string }
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<10)).Decode(&said); err != nil || said.Status != "alive" {
		return fmt.Errorf("%s is answered by another program", address)
	}
	return nil
}

// CheckConfig reads the configuration without running. A service may run without one;
// whoever asks for a check of a file expects it to be there.
func CheckConfig(o Options, out io.Writer) error {
	file, err := config.Load(o.ConfigPath)
	if err != nil {
		return fmt.Errorf("%s is refused:\n%w", o.ConfigPath, err)
	}
	if !file.Exists {
		return fmt.Errorf("%s is not there; name the file with -config or HEALTH_CARETAKER_CONFIG_FILE", o.ConfigPath)
	}
	fmt.Fprintf(out, "%s is valid; endpoints: %d\n", o.ConfigPath, len(file.Config.Endpoints))
	return nil
}

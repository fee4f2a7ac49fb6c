package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/sealift/health-caretaker/internal/config"
)

// HealthCheck asks the service that runs beside this process. Images without a shell need it.
func HealthCheck(ctx context.Context, o Options) error {
	file, err := config.Load(o.ConfigPath)
	if err != nil {
		file.Config = config.Default() // a bad new file leaves the service running
	}
	port, _ := o.Ports(file.Config)
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	address := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) + "/healthz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return fmt.Errorf("not healthy: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("not healthy: %s answered %s", address, response.Status)
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
		return fmt.Errorf("%s is not there; name the file with -config or CONFIG_FILE", o.ConfigPath)
	}
	fmt.Fprintf(out, "%s is valid; endpoints: %d\n", o.ConfigPath, len(file.Config.Endpoints))
	return nil
}

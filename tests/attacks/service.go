// A service that behaves as its environment says, to be put in the place of the real one.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	if filepath.Base(os.Args[0]) == "sh" {
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "-version" {
		fmt.Println("service", os.Getenv("VERSION"))
		return
	}
	end := make(chan os.Signal, 1)
	if os.Getenv("DEAF") == "" {
		signal.Notify(end, syscall.SIGTERM)
	} else {
		signal.Ignore(syscall.SIGTERM)
	}
	if os.Getenv("WRITES") != "" && os.WriteFile("/home/nonroot/state", nil, 0o600) != nil {
		os.Exit(1)
	}
	answer := func(w http.ResponseWriter, r *http.Request) {
		if os.Getenv("FAILS") != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	for _, address := range []string{":8080", ":9091"} {
		go http.ListenAndServe(address, http.HandlerFunc(answer))
	}
	<-end
	if os.Getenv("FAILS_TO_END") != "" {
		os.Exit(3)
	}
}

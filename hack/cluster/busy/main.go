// Command busy is the program of the test image: small things that a pod of
// a demo or a test does. It is also the pause container of every pod.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: busy true | false | echo WORDS | sleep DURATION | http GET URL | dns NAME | serve ADDRESS | pause`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "busy:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	command := strings.Join(args[:min(1, len(args))], "")
	switch {
	case command == "true" && len(args) == 1:
		return nil
	case command == "false" && len(args) == 1:
		return fmt.Errorf("false")
	case command == "echo":
		fmt.Println(strings.Join(args[1:], " "))
		return nil
	case command == "pause" && len(args) == 1:
		<-ctx.Done()
		return nil
	case command == "sleep" && len(args) == 2:
		return sleep(ctx, args[1])
	case command == "http" && len(args) == 3 && args[1] == "GET":
		return get(ctx, args[2])
	case command == "dns" && len(args) == 2:
		return lookup(ctx, args[1])
	case command == "serve" && len(args) == 2:
		return serve(ctx, args[1])
	}
	return fmt.Errorf("cannot do %q; %s", args, usage)
}

// sleep is done early on SIGTERM, as a polite sender would be.
func sleep(ctx context.Context, duration string) error {
	d, err := time.ParseDuration(duration)
	if err != nil {
		d, err = time.ParseDuration(duration + "s") // sleep 5, as in a shell
	}
	if err != nil {
		return fmt.Errorf("%w; write 5, 5s or 2m", err)
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopped before %s were over", d)
	}
}

func get(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return nil
}

func lookup(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return err
	}
	fmt.Println(strings.Join(addresses, "\n"))
	return nil
}

// serve answers every request with the name of the pod.
func serve(ctx context.Context, address string) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	server := &http.Server{Addr: address, ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, host) })}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}

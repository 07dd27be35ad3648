// Command kubectl-codb is kubectl's plugin codb: on the PATH, it is what
// kubectl codb runs.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // what kubeconfigs may ask for

	"github.com/codb-dev/codb/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.Options{Out: os.Stdout, Err: os.Stderr, Clock: time.Now}, os.Args[1:])
	stop()
	os.Exit(code)
}

// Command codb is the operator, the gate and what a platform team needs to
// install them: one binary, a subcommand for each.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // zones are a matter of law here: never depend on the image's

	"github.com/spf13/cobra"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == workerVerb {
		os.Exit(runWorker()) // before anything else: a worker knows nothing of clusters
	}
	ctx, stop := signal.NotifyContext(newContext(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := root().ExecuteContext(ctx); err != nil && !errors.Is(err, ctx.Err()) {
		fmt.Fprintln(os.Stderr, "codb:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	c := &cobra.Command{
		Use:           "codb",
		Short:         "customers manage the relationship",
		Long:          "codb holds campaign workloads in a Kubernetes cluster until the customers' consents and the policies allow them.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.AddCommand(standaloneCommand(), operatorCommand(), gateCommand(), consentsCommand(), installCommand(), uninstallCommand(), importCommand(), ledgerCommand())
	return c
}

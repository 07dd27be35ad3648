// Package cli is what people type after "kubectl codb". It knows the apiserver
// alone, under the identity of whoever types: neither the gate nor a database
// is told who they are.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/clientcmd"
)

// Options are what the commands have of the world besides their arguments.
type Options struct {
	Out, Err io.Writer
	// Clock says when an answer is given that does not say so itself.
	Clock func() time.Time
}

// Exit codes: 1 says that the answer is no, so that scripts can ask.
const (
	ExitNo      = 1
	ExitUsage   = 2
	ExitCluster = 3
)

var (
	errUsage = errors.New("usage")
	errNo    = errors.New("no")
)

// said is an error that needs no further words; kind is errUsage or errNo.
type said struct {
	kind error
	text string
}

func (s said) Error() string { return s.text }
func (s said) Unwrap() error { return s.kind }

func usage(format string, args ...any) error { return said{errUsage, fmt.Sprintf(format, args...)} }
func no(format string, args ...any) error    { return said{errNo, fmt.Sprintf(format, args...)} }

// Run runs kubectl codb, says what went wrong, and returns what the program
// ends with.
func Run(ctx context.Context, o Options, args []string) int {
	f := &flags{Options: o, loading: *clientcmd.NewDefaultClientConfigLoadingRules()}
	root := f.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(o.Err, "error:", err)
	if !f.begun {
		return ExitUsage
	}
	return exitCode(err)
}

func exitCode(err error) int {
	switch {
	case errors.Is(err, errNo), apierrors.IsNotFound(err), apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsAlreadyExists(err):
		return ExitNo
	case errors.Is(err, errUsage):
		return ExitUsage
	}
	return ExitCluster
}

// flags are those that every command has, kubectl's own among them.
type flags struct {
	Options
	loading   clientcmd.ClientConfigLoadingRules
	overrides clientcmd.ConfigOverrides
	begun     bool // the command was understood
}

func (f *flags) root() *cobra.Command {
	c := &cobra.Command{
		Use:           "kubectl-codb",
		Short:         "what customers agreed to, at a terminal",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl codb"},
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.SetOut(f.Out)
	c.SetErr(f.Err)
	p := c.PersistentFlags()
	p.StringVar(&f.loading.ExplicitPath, "kubeconfig", "", "path of the kubeconfig file")
	names := clientcmd.RecommendedConfigOverrideFlags("")
	names.ContextOverrideFlags.Namespace.Description = "namespace of the customers; without it codb-customers"
	clientcmd.BindOverrideFlags(&f.overrides, p, names)
	c.AddCommand(consentCommand(f))
	return c
}

func consentCommand(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use:   "consent",
		Short: "read and write what customers agreed to",
		Long: "Consent reads and writes what customers agreed to, in the same words wherever the\n" +
			"cluster keeps it. A command that wrote returns when what it wrote is in force.\n\n" +
			"It ends with 1 where the answer is no: not on record, refused, nothing to withdraw.",
	}
	for _, verb := range []*cobra.Command{getCommand(f), setCommand(f), withdrawCommand(f), listCommand(f)} {
		run := verb.RunE
		verb.RunE = func(cmd *cobra.Command, args []string) error {
			f.begun = true
			return run(cmd, args)
		}
		c.AddCommand(verb)
	}
	return c
}

// one wants the customer's id and nothing else.
func one(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage("name one customer by id, for example: %s c-4d21", c.CommandPath())
	}
	return nil
}

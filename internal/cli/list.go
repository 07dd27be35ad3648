package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
)

// listing is what to list.
type listing struct {
	selector, next, output string
	limit, page            int64
}

func listCommand(f *flags) *cobra.Command {
	var l listing
	c := &cobra.Command{
		Use:   "list",
		Short: "list customers, page by page",
		Example: "  kubectl codb consent list --limit 20\n" +
			"  kubectl codb consent list -l segment=club -o name",
		Args: cobra.NoArgs,
	}
	fs := c.Flags()
	fs.StringVarP(&l.selector, "selector", "l", "", "only customers with these labels, as kubectl get -l")
	fs.Int64Var(&l.limit, "limit", 0, "list so many and say how to go on; 0: all")
	fs.StringVar(&l.next, "continue", "", "go on where a list with --limit ended")
	fs.Int64Var(&l.page, "chunk-size", 500, "how many to ask the server for at once")
	fs.StringVarP(&l.output, "output", "o", "", "name; without it a table")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		selector, err := labels.Parse(l.selector)
		switch {
		case err != nil:
			return usage("--selector: %v", err)
		case l.page < 1 || l.limit < 0:
			return usage("--chunk-size takes at least 1, --limit at least 0")
		case l.output != "" && l.output != "name":
			return usage("-o %s: write name, or leave it out", l.output)
		}
		p, err := f.find()
		if err != nil {
			return err
		}
		return f.list(cmd.Context(), p, selector, &l)
	}
	return c
}

func (f *flags) list(ctx context.Context, p *place, selector labels.Selector, l *listing) error {
	next, shown := l.next, int64(0)
	t := tabwriter.NewWriter(f.Out, 0, 8, 3, ' ', 0)
	for {
		page := l.page
		if l.limit > 0 {
			page = min(page, l.limit-shown)
		}
		var list v1alpha1.CustomerConsentList
		err := p.client.List(ctx, &list, &client.ListOptions{Namespace: p.namespace, LabelSelector: selector, Limit: page, Continue: next})
		if err != nil {
			return err
		}
		for i := range list.Items {
			c := &list.Items[i]
			if c.Name == v1alpha1.FenceName {
				continue // codb's own
			}
			if shown == 0 && l.output == "" {
				printRow(t, "NAME", "GIVEN", "BRANDS", "UNTIL", "ZONE", "AGE")
			}
			shown++
			f.row(t, p, c, l.output)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		switch next = list.Continue; {
		case next == "" && shown == 0:
			_, err = fmt.Fprintln(f.Err, "No customers found.")
			return err
		case next == "":
			return nil
		case l.limit > 0 && shown >= l.limit:
			_, err = fmt.Fprintf(f.Err, "There are more: add --continue=%s\n", next)
			return err
		}
	}
}

func (f *flags) row(w io.Writer, p *place, c *v1alpha1.CustomerConsent, output string) {
	if output == "name" {
		fmt.Fprintln(w, p.name(c.Name))
		return
	}
	now := f.Clock()
	s := consent.StandingAt(&c.Spec, now)
	printRow(w, c.Name, s.Summary, fmt.Sprint(s.BrandsGiven()), instant(s.NextChange), orNone(string(c.Spec.TimeZone)), age(now, c.CreationTimestamp.Time))
}

// printRow gives columns the width that most rows need: pages come one by one,
// and those to come can't be asked.
func printRow(w io.Writer, name, given, brands, until, zone, age string) {
	fmt.Fprintf(w, "%-14s\t%-8s\t%-6s\t%-20s\t%-16s\t%s\n", name, given, brands, until, zone, age)
}

func age(now, since time.Time) string { return duration.HumanDuration(now.Sub(since)) }

func orNone(s string) string {
	if s == "" {
		return "<unset>"
	}
	return s
}

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
)

func getCommand(f *flags) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:     "get CUSTOMER",
		Short:   "show what a customer said, and what it amounts to now",
		Example: "  kubectl codb consent get c-4d21\n  kubectl codb consent get c-4d21 -o yaml",
		Args:    one,
	}
	c.Flags().StringVarP(&output, "output", "o", "", "yaml, json or name; without it a page for people")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		print, ok := formats[output]
		if !ok {
			return usage("-o %s: write yaml, json or name", output)
		}
		p, err := f.find()
		if err != nil {
			return err
		}
		consent, err := p.get(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return print(f, p, consent)
	}
	return c
}

var formats = map[string]func(*flags, *place, *v1alpha1.CustomerConsent) error{
	"": func(f *flags, _ *place, c *v1alpha1.CustomerConsent) error { return describe(f.Out, c, f.Clock()) },
	"name": func(f *flags, p *place, c *v1alpha1.CustomerConsent) error {
		_, err := fmt.Fprintln(f.Out, p.name(c.Name))
		return err
	},
	"json": func(f *flags, _ *place, c *v1alpha1.CustomerConsent) error {
		c.ManagedFields = nil // as kubectl get does
		raw, err := json.MarshalIndent(c, "", "    ")
		if err == nil {
			_, err = fmt.Fprintf(f.Out, "%s\n", raw)
		}
		return err
	},
	"yaml": func(f *flags, _ *place, c *v1alpha1.CustomerConsent) error {
		c.ManagedFields = nil
		raw, err := yaml.Marshal(c)
		if err == nil {
			_, err = f.Out.Write(raw)
		}
		return err
	},
}

// describe prints the page for people.
func describe(w io.Writer, c *v1alpha1.CustomerConsent, now time.Time) error {
	s := &c.Spec
	standing := consent.StandingAt(s, now)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s:\t%s\n", name, value)
		}
	}
	line("Customer", c.Name)
	line("Given", standing.Summary)
	if s.OptOut != nil {
		line("Opted out", strings.TrimSpace("since "+instant(s.OptOut.Since.Time)+" "+in(s.OptOut.Source)))
	}
	if s.Pause != nil {
		line("Pause", "from "+instant(s.Pause.From.Time)+" until "+instant(s.Pause.Until.Time))
	}
	line("Time zone", strings.TrimSpace(string(s.TimeZone)+" "+in(s.TimeZoneSource)))
	line("Jurisdiction", string(s.Jurisdiction))
	line("Quiet hours", windows(s.QuietHours))
	line("Contact windows", windows(s.ContactWindows))
	line("Blocked topics", strings.Join(words(s.BlockedTopics), ", "))
	for _, r := range s.Relationships {
		for _, o := range r.Objections {
			line("Objects to", string(o.Purpose)+" of "+r.Brand+" since "+instant(o.Since.Time))
		}
	}
	line("Revision", c.ResourceVersion)
	if err := t.Flush(); err != nil {
		return err
	}
	all := answers(c, now)
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "No answer to any brand: nothing is allowed.")
		return err
	}
	fmt.Fprintln(w)
	return printAnswers(w, all)
}

// in puts what is said besides into brackets.
func in(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}

func windows(all []v1alpha1.DailyWindow) string {
	out := make([]string, len(all))
	for i, w := range all {
		out[i] = strings.Join(words(w.Days), ",") + " " + w.Start + "-" + w.End
	}
	return strings.Join(out, "; ")
}

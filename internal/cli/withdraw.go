package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/permit"
)

// withdrawal is what a customer takes back.
type withdrawal struct {
	about    answersTo
	all      bool
	captured moment
	source   string
	dry      dryRun
}

func withdrawCommand(f *flags) *cobra.Command {
	w := withdrawal{dry: "none"}
	c := &cobra.Command{
		Use:   "withdraw CUSTOMER --brand BRAND --purpose PURPOSE [--channel CHANNEL] | --all",
		Short: "take consent back; it is in force when this returns",
		Long: "Withdraw takes back what a customer allowed a brand for a purpose, over one channel or all of\n" +
			"them, or with --all everything. When it returns the withdrawal is acknowledged: every permit for\n" +
			"it that was not redeemed before is refused. To withdraw what is withdrawn changes nothing.",
		Example: "  kubectl codb consent withdraw c-4d21 --brand acme --purpose Marketing --channel Email\n" +
			"  kubectl codb consent withdraw c-4d21 --all",
		Args: one,
	}
	fs := c.Flags()
	fs.StringVar(&w.about.brand, "brand", "", "from whom the customer takes it back")
	fs.StringVar(&w.about.purpose, "purpose", "", "for what, for example Marketing")
	fs.StringVar(&w.about.channel, "channel", "", "over which channel; without it over all")
	fs.BoolVar(&w.all, "all", false, "opt out: no marketing of any brand")
	fs.Var(&w.captured, "captured", "when the customer said so; without it now")
	fs.StringVar(&w.source, "source", "", "where the customer said so: one of captureSource, with --all one of optOut.source")
	fs.Var(&w.dry, "dry-run", "none, or server to ask what the server would say")
	c.MarkFlagsOneRequired("all", "brand")
	c.MarkFlagsMutuallyExclusive("all", "brand")
	c.MarkFlagsMutuallyExclusive("all", "purpose")
	c.MarkFlagsMutuallyExclusive("all", "channel")
	c.MarkFlagsRequiredTogether("brand", "purpose")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := f.find()
		if err != nil {
			return err
		}
		if w.all {
			return f.optOut(cmd.Context(), p, args[0], &w)
		}
		return f.withdraw(cmd.Context(), p, args[0], &w)
	}
	return c
}

func (f *flags) withdraw(ctx context.Context, p *place, principal string, w *withdrawal) error {
	at := w.captured.or(f.Clock())
	before, after, err := p.change(ctx, principal, w.dry, func(c *v1alpha1.CustomerConsent) ([]operation, error) {
		ops, found := w.operations(c, at)
		if !found {
			return nil, no("%s has given no answer about %s: nothing is allowed there, and there is nothing to withdraw; "+
				"to record a no: kubectl codb consent set --status %s", principal, w.about, v1alpha1.ConsentRefused)
		}
		return ops, nil
	})
	if err != nil {
		return err
	}
	return f.tell(p, before, after, w)
}

// noes are answers that a withdrawal adds nothing to.
var noes = []v1alpha1.ConsentStatus{v1alpha1.ConsentRefused, v1alpha1.ConsentWithdrawn, v1alpha1.ConsentRevoked, v1alpha1.ConsentInvalidated}

// operations turn the yes into a no. What proved the yes and no longer holds
// goes; what the customer was told stays.
func (w *withdrawal) operations(c *v1alpha1.CustomerConsent, at metav1.Time) (ops []operation, found bool) {
	for i := range c.Spec.Relationships {
		r := &c.Spec.Relationships[i]
		for j := range r.Grants {
			g := &r.Grants[j]
			if !w.about.matches(r.Brand, g) {
				continue
			}
			found = true
			if slices.Contains(noes, g.Status) {
				continue
			}
			path := fmt.Sprintf("/spec/relationships/%d/grants/%d", i, j)
			ops = append(ops,
				operation{"add", path + "/status", v1alpha1.ConsentWithdrawn},
				operation{"add", path + "/captureDate", at})
			for name, set := range map[string]bool{
				"topics": g.Topics != nil, "doubleConsentCaptureDate": g.DoubleConsentCaptureDate != nil,
				"effectiveFrom": g.EffectiveFrom != nil, "effectiveTo": g.EffectiveTo != nil, "artifact": g.Artifact != "",
				"captureSource": g.CaptureSource != "" && w.source == "",
			} {
				if set {
					ops = append(ops, operation{Op: "remove", Path: path + "/" + name})
				}
			}
			if w.source != "" {
				ops = append(ops, operation{"add", path + "/captureSource", w.source})
			}
		}
	}
	return ops, found
}

// optOut needs no right to read: a customer has none.
func (f *flags) optOut(ctx context.Context, p *place, principal string, w *withdrawal) error {
	before, err := p.get(ctx, principal)
	unread := apierrors.IsForbidden(err)
	if err != nil && !unread {
		return err
	}
	after := before
	if unread || before.Spec.OptOut == nil {
		o := v1alpha1.OptOut{Since: w.captured.or(f.Clock()), Source: w.source}
		if after, err = p.patch(ctx, principal, w.dry, []operation{{"add", "/spec/optOut", o}}); err != nil {
			return err
		}
	}
	if unread { // the answer shows all else as it was
		before = after.DeepCopy()
		before.Spec.OptOut = nil
	}
	return f.tell(p, before, after, w)
}

// tell says what was withdrawn, what that voids, and what still stands.
func (f *flags) tell(p *place, before, after *v1alpha1.CustomerConsent, w *withdrawal) error {
	now := f.Clock()
	if before == after {
		_, err := fmt.Fprintf(f.Out, "%s unchanged: it was withdrawn before\n", p.name(after.Name))
		return err
	}
	fmt.Fprintf(f.Out, "%s withdrawn%s\n", p.name(after.Name), w.dry.suffix())
	if w.dry == "none" {
		fmt.Fprintf(f.Out, "acknowledged as revision %s\n", after.ResourceVersion)
	}
	was, is := answers(before, now), answers(after, now)
	t := tabwriter.NewWriter(f.Out, 0, 8, 3, ' ', 0)
	voided := false
	fmt.Fprintln(t, "BRAND\tPURPOSE\tCHANNEL\tWAS\tIS")
	var stands []string
	for i, a := range is { // both are in the order of their keys, and no key came or went
		switch {
		case a.counts == was[i].counts && a.grant.Status == was[i].grant.Status:
			if a.counts == consent.StateGiven {
				stands = append(stands, answersTo{a.brand, string(a.grant.Purpose), string(a.grant.Channel)}.String())
			}
		default:
			voided = voided || was[i].counts == consent.StateGiven
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", a.brand, a.grant.Purpose, a.grant.Channel, was[i].counts, a.counts)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if voided {
		fmt.Fprintf(f.Out, "Permits for these are void: whoever redeems one is refused. What a sender had redeemed before may still arrive, within %d seconds.\n",
			int(permit.HandOver.Seconds()))
	}
	if len(stands) > 0 {
		fmt.Fprintf(f.Out, "Still given: %s.\n", strings.Join(stands, ", "))
	}
	return nil
}

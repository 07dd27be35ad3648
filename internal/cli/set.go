package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// statuses are the answers that a person gives, in the order in which they are
// offered.
var statuses = []string{
	string(v1alpha1.ConsentGiven), string(v1alpha1.RenewedConsentGiven), string(v1alpha1.ConsentRequested),
	string(v1alpha1.ConsentRequestDeferred), string(v1alpha1.ConsentRefused), string(v1alpha1.ConsentWithdrawn),
	string(v1alpha1.ConsentRevoked), string(v1alpha1.ConsentInvalidated), string(v1alpha1.ConsentExpired), string(v1alpha1.ConsentUnknown),
}

// setting is what a customer answered, and how it can be proven.
type setting struct {
	about                                             answersTo
	status, kind, basis, source, notice, proof, depth string
	captured, confirmed, from, until                  moment
	topics                                            []string
	unknown                                           bool // nobody on record
	dry                                               dryRun
}

func setCommand(f *flags) *cobra.Command {
	s := setting{dry: "none"}
	c := &cobra.Command{
		Use:   "set CUSTOMER --brand BRAND --purpose PURPOSE --channel CHANNEL --status STATUS",
		Short: "record one answer of a customer, with its proof",
		Long: "Set records what a customer answered one brand about one purpose over one channel. It takes\n" +
			"the place of the answer before, its proof included; all other answers stay as they are.",
		Example: "  kubectl codb consent set c-4d21 --brand acme --purpose Marketing --channel Email --status ConsentGiven \\\n" +
			"    --captured 2026-03-01T09:00:00Z --confirmed 2026-03-01T09:04:00Z --source Phone --notice 7\n" +
			"  kubectl codb consent set c-4d21 --brand acme --purpose Marketing --channel Phone --status ConsentRefused",
		Args: one,
	}
	s.register(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(statuses, s.status) {
			return usage("--status %q: write one of %s", s.status, strings.Join(statuses, ", "))
		}
		return f.set(cmd, args[0], &s)
	}
	return c
}

func (s *setting) register(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&s.about.brand, "brand", "", "whom the customer answered")
	fs.StringVar(&s.about.purpose, "purpose", "", "what the answer is about, for example Marketing")
	fs.StringVar(&s.about.channel, "channel", "", "medium that it is about: Email, SMS, Phone, Post, Push, InApp, Social or Web")
	fs.StringVar(&s.status, "status", "", "the answer: "+strings.Join(statuses, ", "))
	for _, required := range []string{"brand", "purpose", "channel", "status"} {
		_ = c.MarkFlagRequired(required) // the flag is there
	}
	_ = c.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(statuses, cobra.ShellCompDirectiveNoFileComp))
	fs.Var(&s.captured, "captured", "when the customer answered; without it now")
	fs.Var(&s.confirmed, "confirmed", "when the customer confirmed it (double opt-in)")
	fs.Var(&s.from, "from", "from when on it counts; without it at once")
	fs.Var(&s.until, "until", "first instant at which it no longer counts; without it until withdrawn")
	fs.StringVar(&s.source, "source", "", "where the customer answered: PreferenceCentre, Web, Email, Phone, Paper, PointOfSale or Import")
	fs.StringVar(&s.kind, "type", "", "ExpressedConsent or ExplicitlyExpressedConsent")
	fs.StringVar(&s.basis, "basis", "", "legal basis; without it Consent")
	fs.StringVar(&s.notice, "notice", "", "version of the privacy notice that the customer was shown")
	fs.StringVar(&s.proof, "artifact", "", "reference to the proof, for example scan:2026/000123")
	fs.StringSliceVar(&s.topics, "topics", nil, "topics that it covers; without them all")
	fs.StringVar(&s.depth, "depth", "", "how far the brand may go: Basic, Analytics, Tracking or Profiling; without it as before")
	fs.BoolVar(&s.unknown, "new", false, "the customer is not on record yet")
	fs.Var(&s.dry, "dry-run", "none, or server to ask what the server would say")
}

func (f *flags) set(cmd *cobra.Command, principal string, s *setting) error {
	p, err := f.find()
	if err != nil {
		return err
	}
	g := s.grant(s.captured.or(f.Clock()))
	var c *v1alpha1.CustomerConsent
	if s.unknown {
		c = &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Name: principal}}
		c.Spec.Relationships = []v1alpha1.Relationship{{Brand: s.about.brand, Depth: v1alpha1.Depth(s.depth), Grants: []v1alpha1.Grant{g}}}
		err = p.create(cmd.Context(), c, s.dry)
	} else {
		_, c, err = p.change(cmd.Context(), principal, s.dry, func(c *v1alpha1.CustomerConsent) ([]operation, error) {
			return s.operations(c, g), nil
		})
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("%w; check the id, or add --new for a customer who is not on record yet", err)
		}
	}
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(f.Out, "%s set%s\n", p.name(principal), s.dry.suffix()); err != nil {
		return err
	}
	all := answers(c, f.Clock())
	return printAnswers(f.Out, slices.DeleteFunc(all, func(a answer) bool { return !s.about.matches(a.brand, &a.grant) }))
}

func (s *setting) grant(captured metav1.Time) v1alpha1.Grant {
	g := v1alpha1.Grant{
		Purpose: v1alpha1.Purpose(s.about.purpose), Channel: v1alpha1.Channel(s.about.channel),
		Status: v1alpha1.ConsentStatus(s.status), ConsentType: v1alpha1.ConsentType(s.kind), LegalBasis: v1alpha1.LegalBasis(s.basis),
		CaptureDate: captured, CaptureSource: s.source, DoubleConsentCaptureDate: s.confirmed.Time,
		EffectiveFrom: s.from.Time, EffectiveTo: s.until.Time, Artifact: s.proof,
	}
	for _, t := range s.topics {
		g.Topics = append(g.Topics, v1alpha1.Topic(t))
	}
	if s.notice != "" {
		g.PrivacyNotice = &v1alpha1.PrivacyNotice{Version: s.notice}
	}
	return g
}

// operations put the answer where it belongs.
func (s *setting) operations(c *v1alpha1.CustomerConsent, g v1alpha1.Grant) []operation {
	i := slices.IndexFunc(c.Spec.Relationships, func(r v1alpha1.Relationship) bool { return r.Brand == s.about.brand })
	if i < 0 {
		r := v1alpha1.Relationship{Brand: s.about.brand, Depth: v1alpha1.Depth(s.depth), Grants: []v1alpha1.Grant{g}}
		if len(c.Spec.Relationships) == 0 {
			return []operation{{"add", "/spec/relationships", []v1alpha1.Relationship{r}}}
		}
		return []operation{{"add", "/spec/relationships/-", r}}
	}
	r, at := &c.Spec.Relationships[i], fmt.Sprintf("/spec/relationships/%d", i)
	var ops []operation
	if s.depth != "" {
		ops = append(ops, operation{"add", at + "/depth", s.depth})
	}
	j := slices.IndexFunc(r.Grants, func(old v1alpha1.Grant) bool { return s.about.matches(r.Brand, &old) })
	switch {
	case j >= 0:
		ops = append(ops, operation{"replace", fmt.Sprintf("%s/grants/%d", at, j), g})
	case len(r.Grants) == 0:
		ops = append(ops, operation{"add", at + "/grants", []v1alpha1.Grant{g}})
	default:
		ops = append(ops, operation{"add", at + "/grants/-", g})
	}
	return ops
}

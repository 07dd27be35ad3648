package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
)

// answer is one line of what a customer said.
type answer struct {
	brand string
	grant v1alpha1.Grant
	// counts is what it amounts to now, and until when by itself.
	counts string
	until  time.Time
}

// answers are all that a customer said to brands, in the order of its keys.
func answers(c *v1alpha1.CustomerConsent, at time.Time) []answer {
	var out []answer
	for i := range c.Spec.Relationships {
		r := &c.Spec.Relationships[i]
		for j := range r.Grants {
			a := answer{brand: r.Brand, grant: r.Grants[j]}
			a.counts, a.until = consent.StateAt(&c.Spec, r, &r.Grants[j], at)
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b answer) int {
		return cmp.Or(cmp.Compare(a.brand, b.brand), cmp.Compare(a.grant.Purpose, b.grant.Purpose), cmp.Compare(a.grant.Channel, b.grant.Channel))
	})
	return out
}

// printAnswers prints them as kubectl prints objects.
func printAnswers(w io.Writer, all []answer) error {
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	fmt.Fprintln(t, "BRAND\tPURPOSE\tCHANNEL\tTOPICS\tSTATUS\tCAPTURED\tNOW\tUNTIL")
	for _, a := range all {
		fmt.Fprintln(t, strings.Join([]string{
			a.brand, string(a.grant.Purpose), string(a.grant.Channel), topics(a.grant.Topics), string(a.grant.Status),
			instant(a.grant.CaptureDate.Time), a.counts, instant(a.until),
		}, "\t"))
	}
	return t.Flush()
}

func topics(all []v1alpha1.Topic) string {
	if len(all) == 0 {
		return "<all>"
	}
	return strings.Join(words(all), ",")
}

func words[T ~string](all []T) []string {
	out := make([]string, len(all))
	for i, one := range all {
		out[i] = string(one)
	}
	return out
}

func instant(t time.Time) string {
	if t.IsZero() {
		return "<none>"
	}
	return t.UTC().Format(time.RFC3339)
}

// moment is a flag for an instant.
type moment struct{ *metav1.Time }

func (m *moment) String() string {
	if m.Time == nil {
		return ""
	}
	return instant(m.Time.Time)
}
func (m *moment) Type() string { return "instant" }
func (m *moment) Set(s string) error {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return fmt.Errorf("write an instant like 2026-03-01T09:00:00Z")
	}
	m.Time = &metav1.Time{Time: t.UTC()}
	return nil
}

// or is the flag's instant, or now.
func (m *moment) or(now time.Time) metav1.Time {
	if m.Time != nil {
		return *m.Time
	}
	return metav1.NewTime(now.UTC().Truncate(time.Second))
}

// answersTo says which answers a command is about.
type answersTo struct{ brand, purpose, channel string }

func (k answersTo) matches(brand string, g *v1alpha1.Grant) bool {
	return brand == k.brand && string(g.Purpose) == k.purpose && (k.channel == "" || string(g.Channel) == k.channel)
}

func (k answersTo) String() string {
	s := k.purpose + " of " + k.brand
	if k.channel != "" {
		s += " by " + k.channel
	}
	return s
}

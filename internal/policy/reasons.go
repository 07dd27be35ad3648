package policy

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
)

// The limits of what one use may say of one customer.
const (
	maxMessage = 511
	maxReasons = 32
	maxWakes   = 1024
)

// again is after what time a customer is looked at anew whose answer can't say
// so itself: a rule that looks at the time without wake, and a failure.
const again = 5 * time.Minute

var codeForm = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,62}$`)

// gathered is what is known so far of the answer for one customer.
type gathered struct {
	asked   *asked
	reasons []decision.Reason
	staleAt time.Time
}

// use adds what one use says. Where it fails in part, what it says of its own
// stands; silence beside a failure denies.
func (g *gathered) use(u *use, slots []slot, sets *ast.Array, errs []topdown.Error, err error) {
	if u.untimed {
		g.sooner(g.asked.now.Add(again))
	}
	if err != nil {
		g.failed(u, err.Error())
		return
	}
	before := len(g.reasons)
	for n, s := range slots {
		set, ok := sets.Elem(n).Value.(ast.Set)
		if !ok {
			g.failed(u, s.set+" is no set")
			continue
		}
		var err error
		if s.set == "wake" {
			err = g.wakes(set)
		} else {
			err = g.add(u, s.set, set)
		}
		if err != nil {
			g.failed(u, s.set+": "+err.Error())
		}
	}
	if len(errs) > 0 && len(g.reasons) == before {
		g.failed(u, errs[0].Error())
	}
}

// failed denies because a use gave no complete answer.
func (g *gathered) failed(u *use, why string) {
	g.sooner(g.asked.now.Add(again))
	g.reasons = append(g.reasons, decision.Reason{
		Code: v1alpha1.CodeEvaluationFailed, Verdict: v1alpha1.VerdictDeny, Message: oneLine(why),
		Policy: u.policy, Rule: u.rule, Mode: u.mode,
	})
}

func (g *gathered) sooner(t time.Time) { g.staleAt = decision.Sooner(g.staleAt, t) }

// add reads the reasons of deny or hold.
func (g *gathered) add(u *use, set string, reasons ast.Set) error {
	if reasons.Len() > maxReasons {
		return fmt.Errorf("%d reasons for one customer, the limit is %d", reasons.Len(), maxReasons)
	}
	verdict := v1alpha1.VerdictDeny
	if set == "hold" {
		verdict = v1alpha1.VerdictHold
	}
	for _, t := range reasons.Slice() {
		r, err := g.reason(t.Value, verdict)
		if err != nil {
			return err
		}
		r.Policy, r.Rule, r.Mode = u.policy, u.rule, u.mode
		if !r.Until.IsZero() {
			g.sooner(r.Until)
		}
		g.reasons = append(g.reasons, r)
	}
	return nil
}

func (g *gathered) reason(v ast.Value, verdict v1alpha1.Verdict) (decision.Reason, error) {
	r := decision.Reason{Verdict: verdict}
	object, ok := v.(ast.Object)
	if !ok {
		return r, errors.New("a reason is no object with code and message")
	}
	err := object.Iter(func(k, v *ast.Term) error {
		var err error
		switch name, _ := k.Value.(ast.String); {
		case name == "code":
			r.Code, err = code(v.Value)
		case name == "message":
			r.Message, err = text(v.Value)
		case name == "until" && verdict == v1alpha1.VerdictHold:
			r.Until, err = g.until(v.Value)
		default:
			err = fmt.Errorf("a reason has no %s", clip(k.String(), 64))
		}
		return err
	})
	if err == nil && r.Code == "" {
		err = errors.New("a reason lacks its code")
	}
	return r, err
}

func code(v ast.Value) (string, error) {
	s, ok := v.(ast.String)
	if !ok || !codeForm.MatchString(string(s)) {
		return "", fmt.Errorf("code %s does not match %s", clip(v.String(), 80), codeForm)
	}
	return string(s), nil
}

func text(v ast.Value) (string, error) {
	s, ok := v.(ast.String)
	switch {
	case !ok:
		return "", errors.New("message is no text")
	case len(s) > maxMessage:
		return "", fmt.Errorf("message has %d bytes, the limit is %d", len(s), maxMessage)
	case strings.ContainsFunc(string(s), func(r rune) bool { return printable(r) != r }):
		return "", errors.New("message is not one line of printable text")
	}
	return string(s), nil
}

// printable is r, or a blank for what a terminal could take for a command.
func printable(r rune) rune {
	if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
		return ' '
	}
	return r
}

func (g *gathered) until(v ast.Value) (time.Time, error) {
	ns, err := instant(v)
	if err != nil {
		return time.Time{}, fmt.Errorf("until %w", err)
	}
	if ns <= g.asked.ns {
		return time.Time{}, errors.New("until is not later than now")
	}
	return time.Unix(0, ns).UTC(), nil
}

// wakes reads the instants at which a use's answer may change by itself; those
// that are past are none.
func (g *gathered) wakes(set ast.Set) error {
	if set.Len() > maxWakes {
		return fmt.Errorf("%d instants for one customer, the limit is %d", set.Len(), maxWakes)
	}
	for _, t := range set.Slice() {
		ns, err := instant(t.Value)
		if err != nil {
			return fmt.Errorf("an element %w", err)
		}
		if ns > g.asked.ns {
			g.sooner(time.Unix(0, ns).UTC())
		}
	}
	return nil
}

// instant reads nanoseconds since 1970; Rego may write whole numbers as 1e18.
func instant(v ast.Value) (int64, error) {
	const wrong = "is no instant in nanoseconds since 1970"
	n, ok := v.(ast.Number)
	if !ok {
		return 0, errors.New(wrong)
	}
	if ns, ok := n.Int64(); ok {
		return ns, nil
	}
	f, _, err := big.ParseFloat(string(n), 10, 128, big.ToNearestEven)
	if err != nil {
		return 0, errors.New(wrong)
	}
	if ns, exact := f.Int64(); exact == big.Exact {
		return ns, nil
	}
	return 0, errors.New(wrong)
}

// answer is what was gathered, sorted and without duplicates.
func (g *gathered) answer() decision.Answer {
	slices.SortFunc(g.reasons, compareReasons)
	return decision.Answer{Reasons: slices.Compact(g.reasons), StaleAt: g.staleAt}
}

func compareReasons(a, b decision.Reason) int {
	return cmp.Or(
		cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Policy, b.Policy),
		cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Message, b.Message), a.Until.Compare(b.Until),
	)
}

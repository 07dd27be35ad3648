package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
)

// InForce is one policy as campaigns are judged by it.
type InForce struct {
	Policy     Policy
	Match      *v1alpha1.PolicyMatch
	Thresholds *v1alpha1.Thresholds
	Digest     string
}

// Facts are what a policy's match looks at.
type Facts struct {
	Brand, Namespace string
	Purpose          v1alpha1.Purpose
	Class            v1alpha1.PurposeClass
	Channel          v1alpha1.Channel
}

// Book holds the policies in force. It is filled by whoever compiles them and
// read by whoever judges campaigns; it is empty, and so blocks everything,
// until then.
type Book struct {
	lib     *Library
	sandbox *Sandbox

	mu      sync.Mutex
	pages   map[string]page
	changed chan struct{}
	judges  map[string]decision.Judge // by set of digests
}

type page struct {
	uid        types.UID
	generation int64
	match      *v1alpha1.PolicyMatch // of the latest generation, where none is in force
	inForce    *InForce
	stalled    string   // why it is not asked any more; empty: it is
	differing  []string // rules that OPA answers otherwise than the native engine
}

// NewBook makes an empty book.
func NewBook(lib *Library, sandbox *Sandbox) *Book {
	b := &Book{
		lib: lib, sandbox: sandbox,
		pages: map[string]page{}, judges: map[string]decision.Judge{}, changed: make(chan struct{}),
	}
	if sandbox != nil {
		sandbox.struck, sandbox.differed = b.stall, b.Differ
	}
	return b
}

// Put says what is in force of a policy whose latest generation, p, was looked
// at; nil: nothing, and every campaign that it matches is blocked.
func (b *Book) Put(p *v1alpha1.CampaignPolicy, f *InForce) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := page{uid: p.UID, generation: p.Generation, match: p.Spec.Match, inForce: f}
	if was := b.pages[p.Name]; was.uid == next.uid && was.generation == next.generation {
		next.stalled, next.differing = was.stalled, was.differing // the same would only happen again
	}
	b.pages[p.Name] = next
	b.turn()
}

// stall blocks the campaigns of a policy, one of whose rules got its workers killed
// time and again, until the policy changes or codb starts anew.
func (b *Book) stall(struck Policy, rule string) {
	digest := b.lib.Digest(struck)
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.pages[struck.Name]
	if !ok || p.inForce == nil || p.inForce.Digest != digest || p.stalled != "" {
		return // the floor, or a revision of the past
	}
	p.stalled = fmt.Sprintf("rule %s exceeded its time or memory %d times", rule, maxStrikes)
	b.pages[struck.Name] = p
	b.turn()
}

// Stalled says why a policy's latest generation is not asked any more; empty: it
// is.
func (b *Book) Stalled(name string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pages[name].stalled
}

// Differ notes that OPA answers a rule of a policy otherwise than the native engine,
// and wakes who asked about it.
func (b *Book) Differ(policy, rule string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p, ok := b.pages[policy]; ok && !slices.Contains(p.differing, rule) {
		p.differing = append(slices.Clip(p.differing), rule)
		b.pages[policy] = p
	}
	b.wake()
}

// Differing are the rules of a policy's latest generation that OPA answers
// otherwise than the native engine: it alone answers for them.
func (b *Book) Differing(name string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(slices.Values(b.pages[name].differing))
}

// Troubled names the policies of which something isn't as it should be, each time
// with another word when that changes.
func (b *Book) Troubled() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]string{}
	for name, p := range b.pages {
		if p.stalled != "" || len(p.differing) > 0 {
			out[name] = fmt.Sprint(p.stalled, p.differing)
		}
	}
	return out
}

// Remove forgets a policy that was deleted.
func (b *Book) Remove(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.pages[name]; ok {
		delete(b.pages, name)
		b.turn()
	}
}

// Knows says whether the book has these policies, each in this very generation,
// and no other.
func (b *Book) Knows(policies []v1alpha1.CampaignPolicy) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range policies {
		p := &policies[i]
		if had, ok := b.pages[p.Name]; !ok || had.uid != p.UID || had.generation != p.Generation {
			return false
		}
	}
	return len(policies) == len(b.pages)
}

// Changed is closed at the next change of the book.
func (b *Book) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// For lists the policies in force that match, sorted by name, and the names of
// those that match but have nothing in force; of those that stalled, also why.
func (b *Book) For(f Facts) (set []InForce, notReady []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, p := range b.pages {
		switch {
		case p.inForce == nil && f.matches(p.match):
			notReady = append(notReady, name)
		case p.stalled != "" && f.matches(p.inForce.Match):
			notReady = append(notReady, name+" ("+p.stalled+")")
		case p.inForce != nil && f.matches(p.inForce.Match):
			set = append(set, *p.inForce)
		}
	}
	slices.Sort(notReady)
	slices.SortFunc(set, func(x, y InForce) int { return strings.Compare(x.Policy.Name, y.Policy.Name) })
	return set, notReady
}

// Judge answers questions under the built-in floor and the policies given.
func (b *Book) Judge(ctx context.Context, set []InForce) (decision.Judge, error) {
	policies := make([]Policy, 0, len(set)+1)
	policies = append(policies, b.lib.Floor())
	var key strings.Builder
	for _, f := range set {
		policies = append(policies, f.Policy)
		fmt.Fprintf(&key, "%s %s %s\n", f.Policy.Name, f.Policy.Mode, f.Digest)
	}
	b.mu.Lock()
	j, ok := b.judges[key.String()]
	b.mu.Unlock()
	if ok {
		return j, nil
	}
	loaded, err := b.sandbox.Load(ctx, policies)
	if err != nil {
		return nil, err
	}
	j = newEngine(b.sandbox, policies, loaded)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.judges[key.String()] = j
	return j, nil
}

// References names the policies that a decision rests on, the floor first.
func (b *Book) References(set []InForce) []v1alpha1.PolicyReference {
	floor := b.lib.Floor()
	refs := []v1alpha1.PolicyReference{{Name: floor.Name, Digest: b.lib.Digest(floor)}}
	for _, f := range set {
		refs = append(refs, v1alpha1.PolicyReference{Name: f.Policy.Name, Generation: f.Policy.Generation, Digest: f.Digest})
	}
	return refs
}

// turn forgets judges of sets that may be gone and wakes who waits.
func (b *Book) turn() {
	b.judges = map[string]decision.Judge{}
	b.wake()
}

func (b *Book) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (f Facts) matches(m *v1alpha1.PolicyMatch) bool {
	return m == nil ||
		anyOf(m.Brands, f.Brand) && anyOf(m.Namespaces, f.Namespace) && anyOf(m.Purposes, f.Purpose) &&
			anyOf(m.Classes, f.Class) && anyOf(m.Channels, f.Channel)
}

func anyOf[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }

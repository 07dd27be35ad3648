package policy

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
)

// errDiffers ends what OPA disagrees with. Who asks again is answered by OPA.
var errDiffers = errors.New("OPA answers otherwise than the native engine, and from now on alone")

// certainty is what the engines of a sandbox know of compiled parts: what OPA has
// confirmed of each, and which it found wrong.
type certainty struct {
	mu     sync.Mutex
	trusts map[string]*trust
	doubts atomic.Pointer[doubts]
}

// doubts are what OPA found wrong until some moment: rules, whoever uses them, or
// all of some policies. They are not written to.
type doubts struct {
	times uint64
	wrong map[string]bool
}

var noDoubts = &doubts{}

func (c *certainty) now() *doubts {
	if d := c.doubts.Load(); d != nil {
		return d
	}
	return noDoubts
}

// maxParts is how many parts are remembered.
const maxParts = 1 << 14

// of a part: a rule with its parameters, and all that it reads of a campaign.
func (c *certainty) of(part string) *trust {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.trusts) >= maxParts {
		c.trusts = nil
	}
	if c.trusts == nil {
		c.trusts = map[string]*trust{}
	}
	if c.trusts[part] == nil {
		c.trusts[part] = &trust{}
	}
	return c.trusts[part]
}

// doubt says that something is wrong; false: that is known.
func (c *certainty) doubt(what string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	had := c.now()
	if had.wrong[what] {
		return false
	}
	more := &doubts{times: had.times + 1, wrong: maps.Clone(had.wrong)}
	if more.wrong == nil {
		more.wrong = map[string]bool{}
	}
	more.wrong[what] = true
	c.doubts.Store(more)
	return true
}

// everything stands for all of an engine's policies.
func (e *engine) everything() string { return "policies " + e.Digest() }

// Doubted implements decision.Sweeper.
func (e *engine) Doubted() uint64 { return e.sandbox.certain.now().times }

// distrust leaves to OPA what it answered otherwise about somebody: the rules whose
// reasons differ, and where that explains nothing, everything.
func (e *engine) distrust(ours, theirs []decision.Reason) {
	explained := false
	for i := range e.asked.uses {
		u := &e.asked.uses[i]
		not := func(r decision.Reason) bool { return r.Policy != u.policy || r.Rule != u.rule }
		if sameReasons(slices.DeleteFunc(slices.Clone(ours), not), slices.DeleteFunc(slices.Clone(theirs), not)) {
			continue
		}
		if e.sandbox.certain.doubt(u.alike) {
			explained = true
			e.tell(func(other *use) bool { return other.alike == u.alike })
		}
	}
	if !explained {
		e.distrustAll()
	}
}

// distrustAll leaves everything to OPA.
func (e *engine) distrustAll() {
	if e.sandbox.certain.doubt(e.everything()) {
		e.tell(func(*use) bool { return true })
	}
}

// tell of rules that are distrusted.
func (e *engine) tell(is func(*use) bool) {
	e.metrics.differences.Inc()
	if e.sandbox.differed == nil {
		return
	}
	for i := range e.asked.uses {
		if u := &e.asked.uses[i]; is(u) {
			e.sandbox.differed(u.policy, u.rule)
		}
	}
}

func sameReasons(a, b []decision.Reason) bool {
	return slices.EqualFunc(a, b, func(x, y decision.Reason) bool {
		ends := x.Until.Equal(y.Until)
		x.Until, y.Until = time.Time{}, time.Time{}
		return ends && x == y
	})
}

func sameAnswer(a, b *decision.Answer) bool {
	return a.StaleAt.Equal(b.StaleAt) && sameReasons(a.Reasons, b.Reasons)
}

// errStopped is for whom OPA was to confirm, but was stopped over a rule: by a busy
// machine once, or by the rule, which strikes then stall.
var errStopped = errors.New("a policy worker was stopped before it could confirm what the native engine says; it is asked again")

// stopped says that an answer of OPA's is none: it tells nothing of the engine.
func stopped(a *decision.Answer) bool {
	return slices.ContainsFunc(a.Reasons, func(r decision.Reason) bool {
		return r.Code == v1alpha1.CodeEvaluationFailed && r.Message == exceeds
	})
}

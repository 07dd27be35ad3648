package policy

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// How much of what is answered natively OPA is asked about before it counts: of
// whatever a part says the first few times, and some customers chosen evenly.
const (
	confirmed = 3
	manyAsked = 1024 // customers that make a run
	oneOf     = 1024 // of a run, of whom one is chosen evenly,
	evenly    = 64   // but no more than so many
	// Of what is less than a run, such as a changed consent, one of some when
	// it is a while since the last one: OPA takes longer for it than everything else.
	oneOfFew  = 64
	fewSpread = 100 * time.Millisecond
)

// trust is what OPA has confirmed of a compiled part, whatever campaigns or
// policies it is part of: how often it was right to give each set of reasons.
type trust struct {
	mu   sync.Mutex
	seen map[uint64]uint8
}

// maxTrusted is how many sets are remembered.
const maxTrusted = 1 << 14

// lacks is how many more confirmations a set needs.
func (t *trust) lacks(set uint64) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return confirmed - int(t.seen[set])
}

func (t *trust) confirm(set uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil || len(t.seen) >= maxTrusted {
		t.seen = map[uint64]uint8{}
	}
	if t.seen[set] < confirmed {
		t.seen[set]++
	}
}

// picking chooses customers for OPA to confirm, and knows what that confirms.
type picking struct {
	who    expr.Bits
	claims []claim
}

// claim is a set of reasons of a part, which somebody chosen has.
type claim struct {
	of  *trust
	set uint64
}

func (k *picking) begin() {
	if k.who == nil {
		k.who = expr.NewBits(expr.Chunk)
	}
	clear(k.who)
	k.claims = k.claims[:0]
}

// choose somebody of a word of rows who all have the same set of reasons, as
// often as that still has to be confirmed: who is chosen already is asked about
// anyway.
func (k *picking) choose(of *trust, set uint64, word int, alike uint64) {
	missing := of.lacks(set)
	for _, had := range k.claims {
		if had.of == of && had.set == set {
			missing--
		}
	}
	for ; missing > 0 && alike != 0; missing-- {
		from := alike & k.who[word]
		if from == 0 {
			from = alike
		}
		one := from & -from
		alike &^= one
		k.who[word] |= one
		k.claims = append(k.claims, claim{of, set})
	}
}

// confirmAll is for when OPA has said the same.
func confirmAll(claims []claim) {
	for _, p := range claims {
		p.of.confirm(p.set)
	}
}

// doubt chooses customers of whatever the units of a plan say that is not
// confirmed yet.
func (p *program) doubt(of *plan, b *bulk) {
	p.picking.begin()
	all := len(b.left) == 0 && b.whole
	for _, u := range of.units {
		s := &u.says
		if !u.own && s.sure == s.chunk {
			continue
		}
		had := len(p.picking.claims)
		p.doubtUnit(u, b)
		if all && !u.own && len(p.picking.claims) == had {
			s.sure = s.chunk // nobody else who is looked at has another set
		}
	}
}

// doubtUnit does it for one, word by word of the sets of who has a reason.
func (p *program) doubtUnit(u *unit, b *bulk) {
	s := &u.says
	for w := b.lo >> 6; w < (b.hi+63)>>6; w++ {
		left := b.rows[w] &^ b.Left[w]
		if left == 0 {
			continue
		}
		words, sigs := p.words[:0], p.sigs[:0]
		for _, t := range s.reasons {
			if x := t.who[w] & left; x != 0 {
				words, sigs = append(words, x), append(sigs, t.sig)
			}
		}
		if x := s.wakes[w] & left; x != 0 {
			words, sigs = append(words, x), append(sigs, wakeSignature)
		}
		p.words, p.sigs = words, sigs
		for left != 0 {
			bit := left & -left
			alike, set := left, uint64(0)
			for i := range words {
				if words[i]&bit != 0 {
					alike &= words[i]
					set += sigs[i]
				} else {
					alike &^= words[i]
				}
			}
			left &^= alike
			at := &s.quick[set%uint64(len(s.quick))]
			if *at == set+1 {
				continue
			}
			if u.trust.lacks(set) <= 0 {
				*at = set + 1
				continue
			}
			p.picking.choose(u.trust, set, w, alike)
		}
	}
}

// some adds customers chosen evenly.
func (k *picking) some(b *bulk, rate float64) {
	for n := rate * float64(b.Customers); n > 0 && rand.Float64() < n; n-- {
		row := b.lo + rand.IntN(b.hi-b.lo)
		if b.rows.Has(row) && !b.Left.Has(row) {
			k.who.Set(row)
		}
	}
}

// rows adds who is chosen.
func (k *picking) rows(to []int) []int {
	for w, left := range k.who {
		for ; left != 0; left &= left - 1 {
			to = append(to, w<<6+bits.TrailingZeros64(left))
		}
	}
	return to
}

// now and then says whether it is time to ask about somebody of few.
type nowAndThen struct{ last atomic.Int64 }

func (n *nowAndThen) due() bool {
	last, now := n.last.Load(), time.Now().UnixNano()
	return now-last >= int64(fewSpread) && rand.IntN(oneOfFew) == 0 && n.last.CompareAndSwap(last, now)
}

// rate is how many are chosen evenly where a question is about so many customers,
// for any campaign at most.
func (e *engine) rate(customers, together int) float64 {
	switch {
	case customers >= manyAsked:
		return min(1.0/oneOf, evenly/float64(customers+1))
	case together > 0 && e.few.due():
		return 1 / float64(together)
	}
	return 0
}

var signatureSeed = maphash.MakeSeed()

// wakeSignature stands for a wake in a set of reasons.
const wakeSignature = 0x9e3779b97f4a7c15

// signatureOf tells reasons apart, whenever they end, and whatever a policy's own
// Rego says beside its codes: it may have words for each customer.
func signatureOf(r *decision.Reason) uint64 {
	var h maphash.Hash
	h.SetSeed(signatureSeed)
	message := r.Message
	if r.Rule == OwnRule {
		message = ""
	}
	for _, s := range []string{string(r.Verdict), r.Code, r.Policy, r.Rule, message} {
		_, _ = h.WriteString(s)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

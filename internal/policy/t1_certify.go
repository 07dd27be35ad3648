package policy

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/codb-dev/codb/internal/decision"
)

// How much of what is answered natively OPA is asked about too: the first few
// customers of each set of reasons, in each run anew, and one of many chosen
// evenly. A question about many customers is a run; small ones are one together.
const (
	confirmed = 3
	oneOf     = 1024
	manyAsked = 1024
	runLength = 1 << 16 // answers after which a run of small questions is over
	evenly    = 64      // customers that are chosen evenly of a run, however many there are
)

// begin says how many customers are going to be asked about at once.
func (s *standing) begin(customers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since > runLength || customers >= manyAsked {
		clear(s.seen)
		clear(s.quick[:])
		s.since = 0
	}
	s.rate = min(1.0/oneOf, evenly/float64(customers+1))
}

var signatureSeed = maphash.MakeSeed()

// sample chooses customers to ask OPA about, beside those that are left to it
// anyway.
func (s *standing) sample(out []decision.Answer, left []int) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since += len(out)
	var rows []int
	for row := range out {
		if len(left) > 0 && left[0] == row {
			left = left[1:]
			continue
		}
		set := uint64(0)
		for i := range out[row].Reasons {
			set += signatureOf(&out[row].Reasons[i])
		}
		switch {
		case s.seen[set] < confirmed:
			s.seen[set]++
		case s.dice.Float64() >= s.rate:
			continue
		}
		rows = append(rows, row)
	}
	return rows
}

// sampleOf does the same for many at once, word by word of the sets of who has a
// reason.
func (s *standing) sampleOf(b *bulk, rows []int) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since += b.Customers
	var words [64]uint64
	var sigs [64]uint64
	for w := b.lo >> 6; w < (b.hi+63)>>6; w++ {
		left := b.rows[w] &^ b.Left[w]
		if left == 0 {
			continue
		}
		n := 0
		for i := range b.Reasons {
			if x := b.Reasons[i].Who[w]; x != 0 && n < len(words) {
				words[n], sigs[n] = x, b.entries[i].sig
				n++
			}
		}
		for left != 0 {
			bit := left & -left
			alike, set := left, uint64(0)
			for i := range n {
				if words[i]&bit != 0 {
					alike &= words[i]
					set += sigs[i]
				} else {
					alike &^= words[i]
				}
			}
			left &^= alike
			for at := &s.quick[set%uint64(len(s.quick))]; *at != set+1; {
				if s.seen[set] >= confirmed {
					*at = set + 1
					break
				}
				if alike == 0 {
					break
				}
				s.seen[set]++
				rows = append(rows, w<<6+bits.TrailingZeros64(alike))
				alike &= alike - 1
			}
		}
	}
	return s.some(b, rows)
}

// some adds customers chosen evenly.
func (s *standing) some(b *bulk, rows []int) []int {
	for n := s.rate * float64(b.Customers); n > 0 && s.dice.Float64() < n; n-- {
		row := b.lo + s.dice.IntN(b.hi-b.lo)
		if b.rows.Has(row) && !b.Left.Has(row) && !slices.Contains(rows, row) {
			rows = append(rows, row)
		}
	}
	return rows
}

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

func sameAnswer(a, b *decision.Answer) bool {
	return a.StaleAt.Equal(b.StaleAt) && slices.EqualFunc(a.Reasons, b.Reasons, func(x, y decision.Reason) bool {
		ends := x.Until.Equal(y.Until)
		x.Until, y.Until = time.Time{}, time.Time{}
		return ends && x == y
	})
}

// nativeMetrics count what is answered by whom.
type nativeMetrics struct {
	byPlans, byOPA prometheus.Counter
	differences    prometheus.Counter
}

func newNativeMetrics(r prometheus.Registerer) *nativeMetrics {
	answers := promauto.With(r).NewCounterVec(prometheus.CounterOpts{
		Name: "consent_policy_answers_total", Help: "Customers for whom policies were evaluated, by the engine: native, or opa.",
	}, []string{"engine"})
	return &nativeMetrics{
		byPlans: answers.WithLabelValues("native"), byOPA: answers.WithLabelValues("opa"),
		differences: promauto.With(r).NewCounter(prometheus.CounterOpts{
			Name: "consent_policy_differences_total", Help: "Campaigns for which OPA answered differently than the native engine; OPA answers for them since.",
		}),
	}
}

func (m *nativeMetrics) native(native, opa int) {
	m.byPlans.Add(float64(native))
	m.opa(opa)
}

func (m *nativeMetrics) opa(n int) { m.byOPA.Add(float64(n)) }

package policy

import (
	"hash/maphash"
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
)

// begin says how many customers are going to be asked about at once.
func (p *campaignPlan) begin(customers int) {
	p.plan.mu.Lock()
	defer p.plan.mu.Unlock()
	if p.since > runLength || customers >= manyAsked {
		clear(p.seen)
		p.since = 0
	}
}

var signatureSeed = maphash.MakeSeed()

// sample chooses customers to ask OPA about, beside those that are left to it
// anyway.
func (p *campaignPlan) sample(out []decision.Answer, left []int) []int {
	p.since += len(out)
	var rows []int
	for row := range out {
		if len(left) > 0 && left[0] == row {
			left = left[1:]
			continue
		}
		s := signature(out[row].Reasons)
		switch {
		case p.seen[s] < confirmed:
			p.seen[s]++
		case p.dice.IntN(oneOf) > 0:
			continue
		}
		rows = append(rows, row)
	}
	return rows
}

// signature tells sets of reasons apart, whenever they end, and whatever a policy's
// own Rego says beside its codes: it may have words for each customer.
func signature(reasons []decision.Reason) uint64 {
	var h maphash.Hash
	h.SetSeed(signatureSeed)
	for i := range reasons {
		r := &reasons[i]
		message := r.Message
		if r.Rule == OwnRule {
			message = ""
		}
		for _, s := range []string{string(r.Verdict), r.Code, r.Policy, r.Rule, message} {
			_, _ = h.WriteString(s)
			_ = h.WriteByte(0)
		}
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
	answers     *prometheus.CounterVec
	differences prometheus.Counter
}

func newNativeMetrics(r prometheus.Registerer) *nativeMetrics {
	m := &nativeMetrics{
		answers: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
			Name: "consent_policy_answers_total", Help: "Customers for whom policies were evaluated, by the engine: native, or opa.",
		}, []string{"engine"}),
		differences: promauto.With(r).NewCounter(prometheus.CounterOpts{
			Name: "consent_policy_differences_total", Help: "Campaigns for which OPA answered differently than the native engine; OPA answers for them since.",
		}),
	}
	m.answers.WithLabelValues("native")
	m.answers.WithLabelValues("opa")
	return m
}

func (m *nativeMetrics) native(native, opa int) {
	m.answers.WithLabelValues("native").Add(float64(native))
	m.opa(opa)
}

func (m *nativeMetrics) opa(n int) { m.answers.WithLabelValues("opa").Add(float64(n)) }

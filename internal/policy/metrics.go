package policy

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// kills counts workers that ended over a policy.
type kills struct{ total *prometheus.CounterVec }

func newKills(r prometheus.Registerer) *kills {
	k := &kills{promauto.With(r).NewCounterVec(prometheus.CounterOpts{
		Name: "consent_policy_worker_kills_total", Help: "Policy workers that ended over what they were asked, by cause: time, memory, crash.",
	}, []string{"cause"})}
	for _, cause := range []string{"time", "memory", "crash"} {
		k.total.WithLabelValues(cause)
	}
	return k
}

func (k *kills) count(err error) {
	switch {
	case errors.Is(err, errTime), errors.Is(err, errHopeless):
		k.total.WithLabelValues("time").Inc()
	case errors.Is(err, errMemory):
		k.total.WithLabelValues("memory").Inc()
	case errors.Is(err, errCrashed):
		k.total.WithLabelValues("crash").Inc()
	}
}

// Measure registers how many policies are in force.
func (b *Book) Measure(r prometheus.Registerer) {
	for i, state := range []string{"latest", "earlier", "none"} {
		promauto.With(r).NewGaugeFunc(prometheus.GaugeOpts{
			Name: "consent_policies", Help: "CampaignPolicies, by what of each is in force: its latest revision, an earlier one, or none, which blocks what it matches.",
			ConstLabels: prometheus.Labels{"in_force": state},
		}, func() float64 { return float64(b.standing()[i]) })
	}
}

// standing counts policies of which the latest revision, an earlier one, or
// nothing is in force.
func (b *Book) standing() (n [3]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.pages {
		switch {
		case p.inForce == nil:
			n[2]++
		case p.inForce.Policy.Generation != p.generation:
			n[1]++
		default:
			n[0]++
		}
	}
	return n
}

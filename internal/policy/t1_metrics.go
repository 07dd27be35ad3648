package policy

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

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
			Name: "consent_policy_differences_total", Help: "Rules for which OPA answered otherwise than the native engine; OPA alone answers for them since.",
		}),
	}
}

func (m *nativeMetrics) native(native, opa int) {
	m.byPlans.Add(float64(native))
	m.opa(opa)
}

func (m *nativeMetrics) opa(n int) { m.byOPA.Add(float64(n)) }

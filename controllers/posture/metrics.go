package posture

import "github.com/prometheus/client_golang/prometheus"

// Metrics count violations by kind.
type Metrics struct {
	now   *prometheus.GaugeVec
	total *prometheus.CounterVec
}

// NewMetrics registers the metrics, at zero for every kind.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		now: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "consent_posture_violations", Help: "What admission could not refuse and is wrong now, by kind.",
		}, []string{"kind"}),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consent_posture_violations_seen_total", Help: "Violations that were seen, those included that are over.",
		}, []string{"kind"}),
	}
	for _, kind := range kinds {
		m.now.WithLabelValues(kind)
		m.total.WithLabelValues(kind)
	}
	r.MustRegister(m.now, m.total)
	return m
}

func (m *Metrics) standing(counts map[string]int) {
	for _, kind := range kinds {
		m.now.WithLabelValues(kind).Set(float64(counts[kind]))
	}
}

func (m *Metrics) seen(kind string) { m.total.WithLabelValues(kind).Inc() }

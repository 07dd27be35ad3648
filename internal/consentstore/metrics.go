package consentstore

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics say how many consents are known and how well it is proven that they
// are the latest. The zero value measures nothing.
type metrics struct {
	fences *prometheus.HistogramVec
	proven prometheus.Gauge
}

// Measure registers the store's metrics. Call it before the cache starts.
func (s *Store) Measure(r prometheus.Registerer) {
	s.fence.metrics = newMetrics(r, s.table.Len, s.Synced)
}

func newMetrics(r prometheus.Registerer, known func() int, synced func() bool) metrics {
	f := promauto.With(r)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "consent_consents", Help: "Customers whose consent is known.",
	}, func() float64 { return float64(known()) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "consent_store_synced", Help: "1 once every consent that existed at the start has arrived.",
	}, func() float64 {
		if synced() {
			return 1
		}
		return 0
	})
	m := metrics{
		fences: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "consent_fence_duration_seconds", Help: "Time to prove that the consents known are the latest, by result: passed, failed. A failed one releases nothing.",
			Buckets: []float64{.0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"result"}),
		proven: f.NewGauge(prometheus.GaugeOpts{
			Name: "consent_store_proven_timestamp_seconds", Help: "When the consents known were last proven to be the latest, in seconds since 1970; 0: not yet. Only releases ask for it.",
		}),
	}
	m.fences.WithLabelValues("passed")
	m.fences.WithLabelValues("failed")
	return m
}

func (m *metrics) fenced(took time.Duration, err error) {
	if m.fences == nil {
		return
	}
	result := "passed"
	if err != nil {
		result = "failed"
	} else {
		m.proven.SetToCurrentTime()
	}
	m.fences.WithLabelValues(result).Observe(took.Seconds())
}

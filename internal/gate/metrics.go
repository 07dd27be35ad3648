package gate

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// serverMetrics have labels from closed lists only.
type serverMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	refusals *prometheus.CounterVec
	inFlight prometheus.Gauge
}

func newServerMetrics(r prometheus.Registerer) *serverMetrics {
	f := promauto.With(r)
	m := &serverMetrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "consent_gate_requests_total", Help: "Requests answered, by route and status.",
		}, []string{"route", "code"}),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "consent_gate_request_duration_seconds", Help: "Time to answer, by route; the feed waits for news on purpose.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"route"}),
		refusals: f.NewCounterVec(prometheus.CounterOpts{
			Name: "consent_gate_refusals_total", Help: "Requests refused for who asked: unauthenticated, forbidden, or unknown because the cluster could not be asked.",
		}, []string{"reason"}),
		inFlight: f.NewGauge(prometheus.GaugeOpts{
			Name: "consent_gate_requests_in_flight", Help: "Requests being answered now.",
		}),
	}
	for _, reason := range []string{"unauthenticated", "forbidden", "unknown"} {
		m.refusals.WithLabelValues(reason) // so that the first refusal is an increase
	}
	return m
}

func (m *serverMetrics) observe(route, code string, d time.Duration) {
	m.requests.WithLabelValues(route, code).Inc()
	m.seconds.WithLabelValues(route).Observe(d.Seconds())
}

type clientMetrics struct {
	sequence, behind prometheus.Gauge
	failures         prometheus.Counter
}

func newClientMetrics(r prometheus.Registerer) *clientMetrics {
	f := promauto.With(r)
	return &clientMetrics{
		sequence: f.NewGauge(prometheus.GaugeOpts{
			Name: "consent_gate_feed_sequence", Help: "Sequence up to which this process knows the ledger.",
		}),
		behind: f.NewGauge(prometheus.GaugeOpts{
			Name: "consent_gate_feed_behind_records", Help: "Records that the ledger has and this process does not know yet, as of the gate's latest answer.",
		}),
		failures: f.NewCounter(prometheus.CounterOpts{
			Name: "consent_gate_feed_failures_total", Help: "Questions for news that were not answered or could not be applied.",
		}),
	}
}

func (m *clientMetrics) applied(applied, latest uint64) {
	m.sequence.Set(float64(applied))
	m.behind.Set(float64(max(applied, latest) - applied))
}

func (m *clientMetrics) failed() { m.failures.Inc() }

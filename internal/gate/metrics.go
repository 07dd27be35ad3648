package gate

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/codb-dev/codb/internal/contacts"
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

// deskMetrics say what permits come to, and never to whom.
type deskMetrics struct {
	events  *prometheus.CounterVec
	seconds prometheus.Histogram
	asked   prometheus.Counter
}

func newDeskMetrics(r prometheus.Registerer) *deskMetrics {
	f := promauto.With(r)
	m := &deskMetrics{
		events: f.NewCounterVec(prometheus.CounterOpts{
			Name: "consent_permit_events_total", Help: "What happened to permits and to who asked for them, by event of the ledger: Drawn, Redeemed, Refused, Held and so on.",
		}, []string{"event"}),
		seconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "consent_permit_decision_duration_seconds", Help: "Time that the policies took for the customers of one draw or redemption.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15},
		}),
		asked: f.NewCounter(prometheus.CounterOpts{
			Name: "consent_permit_decisions_total", Help: "Customers that the policies were asked about for permits.",
		}),
	}
	for _, e := range []contacts.Event{contacts.Drawn, contacts.Redeemed, contacts.Refused} {
		m.events.WithLabelValues(string(e))
	}
	return m
}

func (m *deskMetrics) happened(e contacts.Event) { m.events.WithLabelValues(string(e)).Inc() }

func (m *deskMetrics) judged(customers int, d time.Duration) {
	m.seconds.Observe(d.Seconds())
	m.asked.Add(float64(customers))
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

package ledger

import (
	"errors"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/codb-dev/codb/internal/contacts"
)

type metrics struct {
	records *prometheus.CounterVec
	seconds prometheus.Histogram
	sizes   prometheus.Histogram
}

func newMetrics(r prometheus.Registerer, sequence func() uint64) *metrics {
	p := promauto.With(r)
	p.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "consent_ledger_sequence", Help: "Sequence of the ledger's latest record.",
	}, func() float64 { return float64(sequence()) })
	m := &metrics{
		records: p.NewCounterVec(prometheus.CounterOpts{
			Name: "consent_ledger_records_total", Help: "Records that were to be appended, by what became of them: appended, duplicate, moved, conflict, full, failed.",
		}, []string{"result"}),
		seconds: p.NewHistogram(prometheus.HistogramOpts{
			Name: "consent_ledger_commit_duration_seconds", Help: "Time of one commit, with the sync of the disk.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}),
		sizes: p.NewHistogram(prometheus.HistogramOpts{
			Name: "consent_ledger_commit_records", Help: "Records that shared one commit.",
			Buckets: []float64{1, 4, 16, 64, 256, 1024, 4096},
		}),
	}
	for _, result := range []string{"appended", "duplicate", "moved", "conflict", "full", "failed"} {
		m.records.WithLabelValues(result) // so that the first failure is an increase
	}
	return m
}

// file adds what only a ledger in a file has.
func (*metrics) file(r prometheus.Registerer, path string) {
	promauto.With(r).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "consent_ledger_file_bytes", Help: "Size of the ledger's file.",
	}, func() float64 {
		info, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return float64(info.Size())
	})
}

func (m *metrics) committed(records uint64, d time.Duration) {
	m.sizes.Observe(float64(records))
	m.seconds.Observe(d.Seconds())
}

func (m *metrics) appended(r *request) {
	if r.err != nil {
		result := "failed"
		switch {
		case errors.Is(r.err, contacts.ErrConflict):
			result = "conflict"
		case errors.Is(r.err, contacts.ErrFull):
			result = "full"
		}
		m.records.WithLabelValues(result).Add(float64(len(r.records)))
		return
	}
	for _, x := range r.results {
		switch {
		case x.Duplicate:
			m.records.WithLabelValues("duplicate").Inc()
		case x.Moved:
			m.records.WithLabelValues("moved").Inc()
		default:
			m.records.WithLabelValues("appended").Inc()
		}
	}
}

package campaign

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
)

// Why a workload was held.
const (
	heldWithdrawn = "withdrawn"
	heldByHand    = "by_hand"
	heldVerdict   = "verdict"
)

// Metrics of campaigns have labels from closed lists only: never a campaign, and
// never a person. The zero value measures nothing.
type Metrics struct {
	decisions *prometheus.CounterVec
	seconds   prometheus.Histogram
	evaluated prometheus.Histogram
	asked     prometheus.Counter
	releases  prometheus.Counter
	holds     *prometheus.CounterVec
	withdrawn prometheus.Histogram
}

// NewMetrics registers what is measured of campaigns; reader counts them.
func NewMetrics(r prometheus.Registerer, reader client.Reader) *Metrics {
	f := promauto.With(r)
	r.MustRegister(standing{reader})
	m := &Metrics{
		decisions: f.NewCounterVec(prometheus.CounterOpts{
			Name: "consent_decisions_total", Help: "CampaignDecisions written, by verdict.",
		}, []string{"verdict"}),
		seconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "consent_decision_duration_seconds", Help: "Time of one look at a campaign: decided, enforced and reported.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}),
		evaluated: f.NewHistogram(prometheus.HistogramOpts{
			Name: "consent_evaluation_duration_seconds", Help: "Time that the policies took for all customers asked about in one look.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}),
		asked: f.NewCounter(prometheus.CounterOpts{
			Name: "consent_evaluated_customers_total", Help: "Customers that the policies were asked about.",
		}),
		releases: f.NewCounter(prometheus.CounterOpts{
			Name: "consent_releases_total", Help: "Runs let go.",
		}),
		holds: f.NewCounterVec(prometheus.CounterOpts{
			Name: "consent_holds_total", Help: "Running workloads stopped, by why: withdrawn, by_hand, verdict.",
		}, []string{"reason"}),
		withdrawn: f.NewHistogram(prometheus.HistogramOpts{
			Name: "consent_withdrawal_to_hold_seconds", Help: "Time from the arrival of a changed consent to the suspension of the workload that ran.",
			Buckets: []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}),
	}
	for _, v := range verdicts {
		m.decisions.WithLabelValues(string(v))
	}
	for _, why := range []string{heldWithdrawn, heldByHand, heldVerdict} {
		m.holds.WithLabelValues(why)
	}
	return m
}

var (
	verdicts = []v1alpha1.CampaignVerdict{
		v1alpha1.CampaignPending, v1alpha1.CampaignAllowed, v1alpha1.CampaignPartlyAllowed, v1alpha1.CampaignHeld, v1alpha1.CampaignBlocked,
	}
	states = []v1alpha1.WorkloadState{
		v1alpha1.WorkloadNone, v1alpha1.WorkloadSuspended, v1alpha1.WorkloadQueued, v1alpha1.WorkloadRunning,
		v1alpha1.WorkloadStopping, v1alpha1.WorkloadComplete, v1alpha1.WorkloadFailed,
	}
)

func (m *Metrics) looked(began time.Time) {
	if m != nil {
		m.seconds.Observe(time.Since(began).Seconds())
	}
}

func (m *Metrics) decided(v v1alpha1.CampaignVerdict) {
	if m != nil {
		m.decisions.WithLabelValues(string(v)).Inc()
	}
}

func (m *Metrics) released(runs int) {
	if m != nil {
		m.releases.Add(float64(runs))
	}
}

// held counts what ran and was stopped; since is when the first changed consent
// that led to it had arrived, if one had.
func (m *Metrics) held(o *decision.Outcome, mode string, since time.Time) {
	switch {
	case m == nil, mode == v1alpha1.OnWithdrawalFinish:
	case o.Code == v1alpha1.CodeHoldRequested:
		m.holds.WithLabelValues(heldByHand).Inc()
	case o.Withdrawn:
		m.holds.WithLabelValues(heldWithdrawn).Inc()
		if !since.IsZero() {
			m.withdrawn.Observe(time.Since(since).Seconds())
		}
	default:
		m.holds.WithLabelValues(heldVerdict).Inc()
	}
}

// since is when the first changed consent arrived that the campaign's workloads
// don't reflect yet.
func (r *Reconciler) since(c *v1alpha1.Campaign) (at time.Time) {
	if kept, ok := r.evaluations.Load(client.ObjectKeyFromObject(c)); ok {
		e := kept.(*evaluation)
		e.mu.Lock()
		defer e.mu.Unlock()
		at = e.Since()
	}
	return at
}

func (r *Reconciler) settle(c *v1alpha1.Campaign) {
	if kept, ok := r.evaluations.Load(client.ObjectKeyFromObject(c)); ok {
		e := kept.(*evaluation)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.Settle()
	}
}

// measured is a judge whose work is measured.
func (m *Metrics) measured(j decision.Judge) decision.Judge {
	if m == nil {
		return j
	}
	return asking{j, m}
}

type asking struct {
	judge   decision.Judge
	metrics *Metrics
}

// Digest implements decision.Judge.
func (a asking) Digest() string { return a.judge.Digest() }

// Judge implements decision.Judge.
func (a asking) Judge(ctx context.Context, q decision.Question) ([]decision.Answer, error) {
	began := time.Now()
	answers, err := a.judge.Judge(ctx, q)
	a.metrics.evaluated.Observe(time.Since(began).Seconds())
	a.metrics.asked.Add(float64(len(q.Subjects)))
	return answers, err
}

// Doubted implements decision.Sweeper.
func (a asking) Doubted() uint64 { return decision.SweeperOf(a.judge).Doubted() }

// Sweep implements decision.Sweeper.
func (a asking) Sweep(ctx context.Context, s decision.Sweep) error {
	began, asked, answer := time.Now(), atomic.Int64{}, s.Answer
	s.Answer = func(campaign, chunk int, b *decision.Bulk) error {
		asked.Add(int64(b.Customers))
		return answer(campaign, chunk, b)
	}
	err := decision.SweeperOf(a.judge).Sweep(ctx, s)
	a.metrics.evaluated.Observe(time.Since(began).Seconds())
	a.metrics.asked.Add(float64(asked.Load()))
	return err
}

// standing counts the campaigns as they stand when somebody asks.
type standing struct{ reader client.Reader }

var standingDesc = prometheus.NewDesc("consent_campaigns",
	"Campaigns that exist, by verdict and by what their workloads do.", []string{"verdict", "workload"}, nil)

// Describe implements prometheus.Collector.
func (standing) Describe(out chan<- *prometheus.Desc) { out <- standingDesc }

// Collect implements prometheus.Collector. Until campaigns can be read there is
// nothing to say.
func (s standing) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var list v1alpha1.CampaignList
	if err := s.reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return
	}
	counts := map[[2]string]int{}
	for i := range list.Items {
		st := &list.Items[i].Status
		v, w := string(st.Verdict), string(st.Workload)
		if v == "" {
			v = string(v1alpha1.CampaignPending)
		}
		if w == "" {
			w = string(v1alpha1.WorkloadNone)
		}
		counts[[2]string{v, w}]++
	}
	for _, v := range verdicts {
		for _, w := range states {
			n := counts[[2]string{string(v), string(w)}]
			out <- prometheus.MustNewConstMetric(standingDesc, prometheus.GaugeValue, float64(n), string(v), string(w))
		}
	}
}

package fuzz

import (
	"context"
	"encoding/json"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/brand"
	"github.com/codb-dev/codb/controllers/campaign"
	"github.com/codb-dev/codb/controllers/campaigndecision"
	"github.com/codb-dev/codb/controllers/campaignpolicy"
	"github.com/codb-dev/codb/controllers/consentreview"
	"github.com/codb-dev/codb/controllers/customerconsent"
	"github.com/codb-dev/codb/controllers/posture"
	"github.com/codb-dev/codb/internal/workload"
)

// FuzzReconcilers makes a world of the bytes and has all of codb's reconcilers
// look at it, over and over, while things break and change. Whatever the world:
// nothing panics; nothing is let run that is not allowed at that moment; no
// person is named in a log, an event, an error or an object that is not theirs;
// and once nothing changes any more, codb comes to rest.
func FuzzReconcilers(f *testing.F) {
	for seed := range int64(16) {
		data := make([]byte, 64+16*seed)
		rand.New(rand.NewSource(seed)).Read(data)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { story(t, newMaker(data)) })
}

func story(t *testing.T, m *maker) *world {
	w := newWorld(t, m.world())
	codb := w.codb()
	begun := time.Now()
	for range 4 {
		w.faults = m.faults()
		w.round(codb)
		w.round(codb)
		w.faults = faults{}
		if m.Intn(2) == 0 {
			w.later(m)
		}
		if m.Intn(4) == 0 {
			w.end(m)
		}
	}
	w.rests(codb)
	w.namesNobody()
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("took %s", took)
	}
	return w
}

// looker is a reconciler and the kind that it looks at; nil: none.
type looker struct {
	kind client.ObjectList
	reconcile.Reconciler
}

// codb is all reconcilers, each with the kind that it looks at.
func (w *world) codb() []looker {
	live := live{w}
	keeper := &workload.Keeper{Client: w, Live: live}
	people, policies := consents{w}, rules{w.book, w}
	lib, _ := whole()
	return []looker{
		{&v1alpha1.BrandList{}, reconcile.AsReconciler[*v1alpha1.Brand](w, &brand.Reconciler{
			Client: w, Events: w, Gates: func(context.Context, string) error { return when(w.faults.admission) }, Reserved: []string{v1alpha1.CustomersNamespace},
		})},
		{&v1alpha1.CustomerConsentList{}, &customerconsent.Reconciler{Client: w, Clock: w.clock}},
		{&v1alpha1.CampaignPolicyList{}, &campaignpolicy.Reconciler{
			Client: w, Live: live, Checker: checker{w}, Library: lib, Book: w.book, Namespace: v1alpha1.SystemNamespace, Events: w,
		}},
		{&v1alpha1.CampaignList{}, &campaign.Reconciler{
			Client: w, Live: live, Consents: people, Policies: policies, Contacts: w.ledger, Keeper: keeper, LiveKeeper: keeper,
			Admitted: func(context.Context) error { return when(w.faults.admission) }, Clock: w.clock, Events: w,
		}},
		{&v1alpha1.CampaignDecisionList{}, reconcile.AsReconciler[*v1alpha1.CampaignDecision](w, &campaigndecision.Reconciler{
			Client: w, OnTime: func(context.Context) error { return nil }, Clock: w.clock, Retention: 24 * time.Hour,
		})},
		{&v1alpha1.ConsentReviewList{}, reconcile.AsReconciler[*v1alpha1.ConsentReview](w, &consentreview.Reconciler{
			Client: w, Consents: people, Policies: policies, Contacts: w.ledger, Keeper: keeper, Clock: w.clock,
		})},
		{nil, &posture.Detector{
			Client: w, Live: live, Admission: func(context.Context) error { return when(w.faults.admission) }, Events: w, Metrics: posture.NewMetrics(prometheus.NewRegistry()),
		}},
	}
}

// round has everyone look once at everything, and at what is not there.
func (w *world) round(codb []looker) {
	for _, one := range codb {
		list := one.kind
		keys := []types.NamespacedName{{}, {Name: "acme-marketing"}}
		if list != nil {
			list = list.DeepCopyObject().(client.ObjectList)
			if err := w.List(w.Context(), list); err != nil {
				w.Fatal(err)
			}
			keys = append(w.keys(list), types.NamespacedName{Namespace: namespaces[0], Name: "gone"})
		}
		for _, key := range keys {
			if _, err := one.Reconcile(w.ctx(), ctrl.Request{NamespacedName: key}); err != nil {
				w.said.WriteString(err.Error() + "\n") // controller-runtime logs it
			}
		}
	}
}

func (w *world) keys(list client.ObjectList) (out []types.NamespacedName) {
	raw, err := json.Marshal(list)
	if err != nil {
		w.Fatal(err)
	}
	var named struct {
		Items []struct{ Metadata types.NamespacedName }
	}
	if err := json.Unmarshal(raw, &named); err != nil {
		w.Fatal(err)
	}
	for _, item := range named.Items {
		out = append(out, item.Metadata)
	}
	return out
}

// rests checks that codb stops writing when the world stands still.
func (w *world) rests(codb []looker) {
	for range 8 {
		w.writes = nil
		if w.round(codb); len(w.writes) == 0 {
			return
		}
	}
	w.Errorf("codb never stops writing about a world that stands still: %q", w.writes)
}

// namesNobody checks that people are named in their own objects alone.
func (w *world) namesNobody() {
	for line := range strings.Lines(w.said.String()) {
		if strings.Contains(line, canary) {
			w.Errorf("a person is named in: %s", line)
		}
	}
	for _, list := range []client.ObjectList{&v1alpha1.BrandList{}, &v1alpha1.CampaignList{}, &v1alpha1.CampaignPolicyList{}, &v1alpha1.CampaignDecisionList{}} {
		if err := w.List(w.Context(), list); err != nil {
			w.Fatal(err)
		}
		if raw, err := json.Marshal(list); err != nil || strings.Contains(string(raw), canary) {
			w.Errorf("a person is named in a %T: %v %s", list, err, raw)
		}
	}
}

// The worlds must be such that something happens in them.
func TestWorldsAreWorthLookingAt(t *testing.T) {
	releases, worlds := 0, 0
	for seed := range int64(40) {
		data := make([]byte, 256)
		rand.New(rand.NewSource(seed)).Read(data)
		if w := story(t, newMaker(data)); w.releases > 0 {
			worlds++
			releases += w.releases
		}
	}
	if worlds < 5 {
		t.Errorf("%d releases in %d of 40 worlds", releases, worlds)
	}
}

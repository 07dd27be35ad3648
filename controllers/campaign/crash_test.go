package campaign_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// life is a codb that ends before its nth call that changes anything outside it,
// which is also right after the one before that. 0: it does not end.
type life struct {
	ends   int
	calls  []string
	lets   *int // how often a Job was let go, over all lives
	doomed bool
}

var errKilled = errors.New("killed")

func (l *life) call(what string, do func() error) error {
	if l.doomed {
		return errKilled
	}
	if l.calls = append(l.calls, what); len(l.calls) != l.ends {
		return do()
	}
	l.doomed = true
	return errKilled
}

func (l *life) client(t *testing.T) client.Client {
	t.Helper()
	real, err := client.NewWithWatch(env.Config, client.Options{Scheme: env.Scheme, Mapper: env.Client.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	return interceptor.NewClient(real, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return l.call(fmt.Sprintf("create %T", o), func() error { return c.Create(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return l.call(fmt.Sprintf("delete %T", o), func() error { return c.Delete(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return l.call(fmt.Sprintf("patch %T", o), func() error {
				err := c.Patch(ctx, o, p, opts...)
				if j, ok := o.(*batchv1.Job); ok && err == nil && !*j.Spec.Suspend {
					*l.lets++
				}
				return err
			})
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return l.call(fmt.Sprintf("patch %T/%s", o, sub), func() error { return c.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
	})
}

// live has codb work until it ends or rests; it says whether it ended.
func (w *world) live(l *life) bool {
	w.Helper()
	w.consents.onFence = func() error { return l.call("fence", func() error { return nil }) }
	w.ledger.onRecord = func() error { return l.call("record contacts", func() error { return nil }) }
	r := w.codb(l.client(w.T))
	for range 4 {
		if _, _ = w.look(r); l.doomed {
			return true
		}
	}
	return false
}

// Wherever codb ends on its way to a release, and whatever happens before it is
// back: nothing runs that isn't allowed, nothing allowed is forgotten, and
// nobody is contacted by two runs.
func TestCodbMayEndAnywhere(t *testing.T) {
	meanwhile := map[string]struct {
		happens  func(*world)
		wantRuns bool
		mayRun   bool // it does, unless it had been let go before
	}{
		"NothingHappens":    {happens: func(*world) {}, wantRuns: true},
		"SomebodyWithdraws": {happens: func(w *world) { w.says("b", optedOut) }},
		"TheJobIsDeleted":   {happens: func(w *world) { w.deleteJob("spring") }, mayRun: true},
		"TheHoldIsPulled": {happens: func(w *world) {
			w.change(func(c *v1alpha1.Campaign) { c.Spec.Hold = &v1alpha1.HoldRequest{Reason: "typo"} })
		}},
		"TheCampaignIsGone":   {happens: func(w *world) { _ = env.Client.Delete(w.ctx, w.status()) }},
		"TheEngineIsBroken":   {happens: func(w *world) { w.says("b", optedOut); w.policies.fails = errDown }},
		"TheGateIsDown":       {happens: func(w *world) { w.ledger.down = errDown }, mayRun: true},
		"TheAudienceIsErased": {happens: func(w *world) { w.erase("a"); w.erase("b") }, mayRun: true},
	}
	for name, tc := range meanwhile {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				lets := 0
				w := newWorld(t, "a", "b")
				w.campaign()
				first := &life{ends: n, lets: &lets}
				if !w.live(first) {
					if n < 7 || lets != 1 {
						t.Fatalf("a life without an end took %d calls and let %d Jobs go: %q", n, lets, first.calls)
					}
					break
				}
				where := fmt.Sprintf("ended before call %d, %s", n, first.calls[n-1])
				tc.happens(w)
				second := &life{lets: &lets}
				if w.live(second); lets > 1 {
					t.Errorf("%s: %d Jobs were let go", where, lets)
				}
				for _, err := range w.noEvidence() {
					t.Errorf("%s: %v", where, err)
				}
				jobs := w.jobs()
				running := slices.ContainsFunc(jobs, func(j batchv1.Job) bool { return !*j.Spec.Suspend })
				switch {
				case len(jobs) > 1:
					t.Errorf("%s: %d Jobs", where, len(jobs))
				case tc.wantRuns && !running:
					t.Errorf("%s: what is allowed was forgotten: %+v\ncalls: %s", where, w.status().Status, strings.Join(second.calls, "\n"))
				case !tc.wantRuns && !tc.mayRun && running:
					t.Errorf("%s: it runs", where)
				}
				if tc.wantRuns {
					w.once(where)
				}
			}
		})
	}
}

// once checks that every record of a finished release is there, and there once.
func (w *world) once(where string) {
	w.Helper()
	c, ds := w.status(), w.decisions()
	if len(ds) != 1 || c.Status.Decision != ds[0].Name || c.Status.Verdict != v1alpha1.CampaignAllowed {
		w.Errorf("%s: %d decisions, status names %q", where, len(ds), c.Status.Decision)
	}
	if c.Status.Released == nil || c.Status.Released.StoppedAt != nil {
		w.Errorf("%s: released: %+v", where, c.Status.Released)
	}
	if len(w.ledger.runs) != 1 {
		w.Errorf("%s: contacts of %d runs", where, len(w.ledger.runs))
	}
	for _, people := range w.ledger.runs {
		if people["a"] != 1 || people["b"] != 1 || len(people) != 2 {
			w.Errorf("%s: contacts %v", where, people)
		}
	}
}

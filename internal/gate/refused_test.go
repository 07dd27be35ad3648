package gate

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
)

// proofs counts how often the cluster is asked to prove what is known.
type proofs struct {
	*town
	n int
}

func (p *proofs) Current(ctx context.Context, of Holder) (*Case, error) {
	p.n++
	return p.town.Current(ctx, of)
}

// hold refuses everybody; nil lets them go.
func (o *office) hold(r *decision.Reason) { o.town.change(func() { o.town.refusal = r }) }

// waiting draws for a minute from then on.
func (o *office) waiting(h Holder) <-chan *Drawn {
	got := make(chan *Drawn, 1)
	go func() {
		d, err := o.desk.Draw(context.WithoutCancel(o.Context()), h, 1, time.Minute, nil)
		if err != nil {
			o.Error(err)
		}
		got <- d
	}()
	synctest.Wait()
	return got
}

// A campaign is held by hand while its pods go on asking: each proof is a write
// that the whole cluster pays for. Whoever waits is not forgotten over it.
func TestARefusedRunIsLeftAlone(t *testing.T) {
	held := &decision.Reason{Code: v1alpha1.CodeHoldRequested, Verdict: v1alpha1.VerdictHold, Message: "stopped by hand: typo"}
	for name, tc := range map[string]struct {
		until     time.Duration // that the refusal names
		happens   func(*office) // after half a minute
		most      int           // proofs in the whole minute
		someone   bool          // is drawn for
		notBefore time.Duration // since it began
		notAfter  time.Duration
	}{
		"AsLongAsItIsRefused": {most: 20, notBefore: time.Minute, notAfter: time.Minute},
		"UntilItIsNot":        {happens: func(o *office) { o.hold(nil) }, most: 12, someone: true, notBefore: 30 * time.Second, notAfter: 30*time.Second + proveEvery},
		"UntilItsOwnEnd":      {until: time.Second, happens: func(o *office) { o.hold(nil) }, most: 40, someone: true, notBefore: 30 * time.Second, notAfter: 31*time.Second + lookEvery},
		"UntilAnotherPodHasSomebody": {
			happens: func(o *office) { o.hold(nil); o.draw(pod(2, "spring"), 1) }, most: 13, someone: true, notBefore: 30 * time.Second, notAfter: 30*time.Second + lookEvery,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t, "c-1", "c-2")
				w := &proofs{town: o.town}
				o.desk = NewDesk(DeskOptions{Ledger: o.file, World: w, Clock: o.town.clock, Log: logr.Discard()})
				refusal := *held
				if tc.until > 0 {
					refusal.Until = o.town.clock().Add(tc.until)
				}
				o.hold(&refusal)
				w.n = 0
				began, got := time.Now(), o.waiting(pod(1, "spring"))
				if tc.happens != nil {
					time.AfterFunc(30*time.Second+lookEvery/2, func() { tc.happens(o) })
				}
				d := <-got
				if took := time.Since(began); took < tc.notBefore || took > tc.notAfter || (len(d.Permits) > 0) != tc.someone {
					t.Errorf("%+v after %s", d, took)
				}
				if w.n > tc.most {
					t.Errorf("%d proofs, want %d at most", w.n, tc.most)
				}
			})
		})
	}
}

package crash

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/internal/permit"
	"github.com/codb-dev/codb/test/fleet"
	"github.com/codb-dev/codb/test/pods"
)

// sending is what the senders were told, and the customers said.
type sending struct {
	*testing.T
	ns string

	mu        sync.Mutex
	told      map[string]message   // permits that were redeemed, as far as the sender knows
	began     map[string]time.Time // permit to when redeeming began
	reported  map[string]bool      // permits whose outcome was acknowledged
	withdrawn map[string]time.Time // customer to when that was acknowledged

	unpermitted, late, over, twice, lost int
}

// message is one that was handed over.
type message struct{ campaign, principal string }

func newSending(t *testing.T, ns string) *sending {
	return &sending{
		T: t, ns: ns, told: map[string]message{}, began: map[string]time.Time{},
		reported: map[string]bool{}, withdrawn: map[string]time.Time{},
	}
}

func (s *sending) count() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.told) }

// progress waits until more was handed over than before.
func (s *sending) progress(before int) {
	s.Helper()
	fleet.Until(s.T, "somebody is contacted", 2*time.Minute, func() error {
		if s.count() <= before {
			return errors.New("nobody yet")
		}
		return nil
	})
}

func (s *sending) withdraw(id string) {
	o := &v1alpha1.CustomerConsent{}
	key := client.ObjectKey{Namespace: v1alpha1.CustomersNamespace, Name: id}
	if err := env.Client.Get(s.Context(), key, o); err != nil {
		s.Error(err)
		return
	}
	before := o.DeepCopy()
	o.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.Now()}
	if err := env.Client.Patch(s.Context(), o, client.MergeFrom(before)); err != nil {
		s.Error(err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.withdrawn[id] = time.Now()
}

// send draws a few, hands them over and reports, until ctx ends; what fails is
// tried anew, but nothing is handed over whose answer did not arrive.
func (s *sending) send(ctx context.Context, campaign string) {
	pod := &speaker{ns: s.ns, campaign: campaign}
	for ctx.Err() == nil {
		var d gate.Drawn
		err := pod.with(ctx, func(p *pods.Pod) (err error) {
			d, err = p.Draw(ctx, 4, "1s")
			return err
		})
		if err != nil {
			fleet.Pause(ctx, 100*time.Millisecond)
			continue
		}
		for _, p := range d.Permits {
			s.handOver(ctx, pod, p)
			fleet.Pause(ctx, 300*time.Millisecond)
		}
	}
}

func (s *sending) handOver(ctx context.Context, pod *speaker, p gate.DrawnPermit) {
	s.mu.Lock()
	s.began[p.Permit] = time.Now()
	s.mu.Unlock()
	var answer []gate.Redeemed
	err := pod.with(ctx, func(speaks *pods.Pod) (err error) {
		answer, err = speaks.Redeem(ctx, p.Permit)
		return err
	})
	if err != nil || answer[0].State != permit.Redeemed {
		return // unknown, or refused
	}
	s.mu.Lock()
	s.told[p.Permit] = message{pod.campaign, p.Principal}
	s.mu.Unlock()
	var done []gate.Reported
	for try := 0; try < 20 && ctx.Err() == nil; try++ {
		err := pod.with(ctx, func(speaks *pods.Pod) (err error) {
			done, err = speaks.Report(ctx, gate.Outcome{Permit: p.Permit, Outcome: "Sent"})
			return err
		})
		if err != nil {
			fleet.Pause(ctx, time.Second)
			continue
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.reported[p.Permit] = done[0].Recorded; !done[0].Recorded {
			s.Errorf("what was handed over can't be reported: %s", done[0].Why)
		}
		return
	}
}

// speaker is a pod of the campaign, and another when there is another gate.
type speaker struct {
	ns, campaign string
	pod          *pods.Pod
}

func (p *speaker) with(ctx context.Context, do func(*pods.Pod) error) (err error) {
	if p.pod == nil {
		if p.pod, err = pods.Of(ctx, env.Client, env.Config, p.ns, p.campaign); err != nil {
			p.pod = nil
			return err
		}
	}
	if err = do(p.pod); err != nil {
		p.pod.Close()
		p.pod = nil
	}
	return err
}

// compare holds what was told and said against what the ledger has.
func (s *sending) compare(store ledger.Store) {
	s.Helper()
	book, redeemed, sent, contacted := permit.NewBook(), map[string]bool{}, map[string]bool{}, map[string]int{}
	for at := uint64(0); ; {
		page, err := store.After(s.Context(), at, contacts.MaxBatch)
		if err != nil {
			s.Fatal(err)
		}
		if len(page.Records) == 0 {
			break
		}
		book.Apply(page.Records)
		for i := range page.Records {
			r := &page.Records[i]
			at = r.Sequence
			switch r.Event {
			case contacts.Sent:
				sent[r.Permit] = true
			case contacts.Redeemed:
				s.redeemed(r, redeemed, contacted)
			}
		}
	}
	s.messages(redeemed, sent)
	for _, p := range book.Live() {
		if p.Until.After(time.Now().Add(permit.Life)) {
			s.Errorf("permit %s is outstanding until %s", p.ID, p.Until)
		}
	}
	s.heard()
}

func (s *sending) redeemed(r *contacts.Record, redeemed map[string]bool, contacted map[string]int) {
	if redeemed[r.Permit] {
		s.twice++
		s.Errorf("permit %s was good twice", r.Permit)
	}
	redeemed[r.Permit] = true
	if contacted[r.Principal]++; contacted[r.Principal] > mostAWeek {
		s.over++
		s.Errorf("%s was contacted %d times in a week that had room for %d", r.Principal, contacted[r.Principal], mostAWeek)
	}
	if no, said := s.withdrawn[r.Principal]; said && s.began[r.Permit].After(no) {
		s.late++
		s.Errorf("%s was contacted after the withdrawal", r.Principal)
	}
}

// messages looks at each that was handed over, and at each outcome that was
// acknowledged.
func (s *sending) messages(redeemed, sent map[string]bool) {
	seen := map[message]bool{}
	for id, m := range s.told {
		if !redeemed[id] {
			s.unpermitted++
			s.Errorf("a sender was told to hand over under permit %s, of which the ledger knows nothing", id)
		}
		if seen[m] {
			s.twice++
			s.Errorf("%s handed over twice to %s", m.campaign, m.principal)
		}
		seen[m] = true
	}
	for id := range s.reported {
		if !sent[id] {
			s.lost++
			s.Errorf("the outcome of permit %s was acknowledged, and the ledger lacks it", id)
		}
	}
}

// heard looks whether what was said is still known.
func (s *sending) heard() {
	for id := range s.withdrawn {
		o := &v1alpha1.CustomerConsent{}
		err := env.Client.Get(s.Context(), client.ObjectKey{Namespace: v1alpha1.CustomersNamespace, Name: id}, o)
		if err != nil || o.Spec.OptOut == nil {
			s.lost++
			s.Errorf("the withdrawal of %s is lost: %v", id, err)
		}
	}
}

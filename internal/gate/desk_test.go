package gate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/permit"
)

func TestEachCustomerGoesToOnePod(t *testing.T) {
	o := newOffice(t, "c-1", "c-2", "c-3")
	first, second := o.draw(pod(1, "spring"), 2), o.draw(pod(2, "spring"), 2)
	o.want("the first pod's", []string{"c-1", "c-2"}, people(first))
	o.want("the second pod's", []string{"c-3"}, people(second))
	if d := o.draw(pod(2, "spring"), 2); len(d.Permits) != 0 || d.Exhausted {
		t.Errorf("a third draw: %+v; permits are outstanding", d)
	}
	o.want("its own", []permit.Answer{permit.Redeemed}, o.redeem(pod(2, "spring"), ids(second)...))
	o.want("another pod's, another campaign's, a forged one", []permit.Answer{permit.Unknown, permit.Unknown, permit.Unknown},
		append(o.redeem(pod(2, "spring"), ids(first)[0], "forged"), o.redeem(pod(1, "autumn"), ids(first)[0])...))
	o.want("twice, in one request and in two", []permit.Answer{permit.Redeemed, permit.AlreadyRedeemed, permit.AlreadyRedeemed},
		append(o.redeem(pod(1, "spring"), ids(first)[0], ids(first)[0]), o.redeem(pod(1, "spring"), ids(first)[0])...))
	o.want("the last", []permit.Answer{permit.Redeemed}, o.redeem(pod(1, "spring"), ids(first)[1]))
	if d := o.draw(pod(1, "spring"), 2); !d.Exhausted {
		t.Errorf("everyone was contacted: %+v", d)
	}
	if d := o.draw(pod(9, "autumn"), 9); len(d.Permits) != 3 {
		t.Errorf("another campaign draws %d", len(d.Permits))
	}
}

func TestAWithdrawalBetweenDrawAndRedeemConcernsOnePerson(t *testing.T) {
	o := newOffice(t, "c-1", "c-2")
	d := o.draw(pod(1, "spring"), 9)
	o.town.says("c-1", no)
	results, err := o.desk.Redeem(t.Context(), pod(1, "spring"), ids(d))
	if err != nil {
		t.Fatal(err)
	}
	o.want("states", []permit.Answer{permit.Refused, permit.Redeemed}, []permit.Answer{results[0].State, results[1].State})
	o.want("reasons", []RefusedReason{{Code: "OptedOut", Message: "opted out"}}, results[0].Reasons)
	if results[1].HandOverBy == nil || !results[1].HandOverBy.Equal(noon.Add(permit.HandOver)) {
		t.Errorf("hand over by %v", results[1].HandOverBy)
	}
	o.want("ledger", []contacts.Event{contacts.Drawn, contacts.Refused}, o.events("c-1"))
	for range 3 {
		if d := o.draw(pod(1, "spring"), 9); len(d.Permits) != 0 || !d.Exhausted {
			t.Errorf("drawn again: %+v", d)
		}
	}
	o.want("ledger, after more draws", []contacts.Event{contacts.Drawn, contacts.Refused}, o.events("c-1"))

	o.town.says("c-1", yes)
	o.want("after a new yes", []string{"c-1"}, people(o.draw(pod(1, "spring"), 9)))
}

func TestAWithdrawalVoidsAPermitThatNobodyRedeems(t *testing.T) {
	o := newOffice(t, "c-1", "c-2")
	d := o.draw(pod(1, "spring"), 9)
	o.town.says("c-1", no)
	o.town.reveal()
	o.tend()
	o.want("ledger", []contacts.Event{contacts.Drawn, contacts.Voided}, o.events("c-1"))
	o.want("redeem", []permit.Answer{permit.Voided, permit.Redeemed}, o.redeem(pod(1, "spring"), ids(d)...))
}

func TestWhatNobodyRedeemsGoesToAnotherPod(t *testing.T) {
	o := newOffice(t, "c-1")
	lost := o.draw(pod(1, "spring"), 9)
	o.town.wait(permit.Life)
	o.want("redeem at its end", []permit.Answer{permit.Expired}, o.redeem(pod(1, "spring"), ids(lost)...))
	if d := o.draw(pod(2, "spring"), 9); len(d.Permits) != 0 || d.Exhausted {
		t.Errorf("before the ledger says Expired: %+v", d)
	}
	o.tend()
	d := o.draw(pod(2, "spring"), 9)
	o.want("then", []string{"c-1"}, people(d))
	o.want("ledger", []contacts.Event{contacts.Drawn, contacts.Expired, contacts.Drawn}, o.events("c-1"))
}

func TestACrashLosesNothing(t *testing.T) {
	o := newOffice(t, "c-1", "c-2", "c-3", "c-4")
	o.town.says("c-4", no)
	d := o.draw(pod(1, "spring"), 2)
	o.want("before", []permit.Answer{permit.Redeemed}, o.redeem(pod(1, "spring"), ids(d)[0]))
	o.restart()
	o.want("a permit from before", []permit.Answer{permit.AlreadyRedeemed, permit.Redeemed}, o.redeem(pod(1, "spring"), ids(d)...))
	o.want("the rest", []string{"c-3"}, people(o.draw(pod(2, "spring"), 9)))
	o.want("refused once", []contacts.Event{contacts.Refused}, o.events("c-4"))
	o.restart()
	o.draw(pod(2, "spring"), 9)
	o.want("and not again after a crash", []contacts.Event{contacts.Refused}, o.events("c-4"))
}

func TestAPermitTakesAPlaceUnderACap(t *testing.T) {
	o := newOffice(t, "c-1")
	o.town.cap = 1
	d := o.draw(pod(1, "spring"), 9)
	if other := o.draw(pod(1, "autumn"), 9); len(other.Permits) != 0 || other.Held != 1 || other.Next == nil || other.Exhausted {
		t.Errorf("another campaign: %+v", other)
	}
	o.want("its own permit does not stand in its way", []permit.Answer{permit.Redeemed}, o.redeem(pod(1, "spring"), ids(d)...))
	if other := o.draw(pod(1, "autumn"), 9); len(other.Permits) != 0 {
		t.Errorf("another campaign after the contact: %+v", other)
	}

	o = newOffice(t, "c-1")
	o.town.cap = 1
	d = o.draw(pod(1, "spring"), 9)
	o.draw(pod(1, "autumn"), 9)
	if err := o.desk.Return(t.Context(), d.Permits); err != nil {
		t.Fatal(err)
	}
	o.want("what is returned is free at once", []string{"c-1"}, people(o.draw(pod(1, "autumn"), 9)))
	o.want("and void", []permit.Answer{permit.Voided}, o.redeem(pod(1, "spring"), ids(d)...))
}

func TestHeldCustomersComeBackWhenTheirTimeHasCome(t *testing.T) {
	o := newOffice(t, "c-1", "c-2")
	o.town.until = noon.Add(time.Hour)
	o.town.says("c-2", paused)
	o.want("at first", []string{"c-1"}, people(o.draw(pod(1, "spring"), 9)))
	d := o.draw(pod(1, "spring"), 9)
	if d.Held != 1 || d.Next == nil || !d.Next.Equal(noon.Add(time.Hour)) || d.Exhausted {
		t.Errorf("meanwhile: %+v", d)
	}
	asked := o.town.asked
	o.draw(pod(1, "spring"), 9)
	if o.town.asked != asked {
		t.Error("somebody who waits is asked about at each draw")
	}
	o.want("ledger", []contacts.Event{contacts.Held}, o.events("c-2"))
	o.town.wait(time.Hour)
	o.want("then", []string{"c-2"}, people(o.draw(pod(1, "spring"), 9)))
}

func TestAHoldActsAtOnce(t *testing.T) {
	o := newOffice(t, "c-1", "c-2")
	d := o.draw(pod(1, "spring"), 1)
	o.town.change(func() {
		o.town.refusal = &decision.Reason{Code: v1alpha1.CodeHoldRequested, Verdict: v1alpha1.VerdictHold, Message: "stopped by hand: typo"}
	})
	if now := o.draw(pod(1, "spring"), 9); len(now.Permits) != 0 || now.Exhausted {
		t.Errorf("draw: %+v", now)
	}
	o.want("redeem", []permit.Answer{permit.Refused}, o.redeem(pod(1, "spring"), ids(d)...))
	o.town.change(func() { o.town.refusal = nil })
	o.want("after it", []string{"c-1", "c-2"}, people(o.draw(pod(1, "spring"), 9)))
}

// A policy that changes is asked about everybody anew, whoever holds a permit.
func TestAnotherPolicyDecidesAtOnce(t *testing.T) {
	o := newOffice(t, "c-1", "c-2")
	o.town.until = noon.Add(time.Hour)
	o.town.says("c-2", paused)
	d := o.draw(pod(1, "spring"), 9)
	o.want("at first", []string{"c-1"}, people(d))
	o.town.change(func() { o.town.key, o.town.until = "v2", noon })
	o.want("who was held by the old one", []string{"c-2"}, people(o.draw(pod(1, "spring"), 9)))
	o.want("who was allowed by it", []permit.Answer{permit.Redeemed}, o.redeem(pod(1, "spring"), ids(d)...))

	o = newOffice(t, "c-1")
	o.town.says("c-1", paused)
	d = o.draw(pod(1, "spring"), 9)
	o.town.change(func() { o.town.key, o.town.until = "v2", noon.Add(time.Hour) })
	o.want("a stricter one, and a permit that is out", []permit.Answer{permit.Refused}, o.redeem(pod(1, "spring"), ids(d)...))
}

func TestThePaceBoundsPermitsThatAreOutAndContacts(t *testing.T) {
	o := newOffice(t, "c-1", "c-2", "c-3", "c-4", "c-5")
	o.town.pace = 2
	d := o.draw(pod(1, "spring"), 9)
	o.want("at first", 2, len(d.Permits))
	o.want("while they are out", 0, len(o.draw(pod(2, "spring"), 9).Permits))
	o.redeem(pod(1, "spring"), ids(d)...)
	if d := o.draw(pod(1, "spring"), 9); len(d.Permits) != 0 || d.Exhausted {
		t.Errorf("in the same minute: %+v", d)
	}
	o.town.wait(time.Minute)
	o.want("a minute later", 2, len(o.draw(pod(1, "spring"), 9).Permits))
}

func TestNobodyKnowsMeansNobodyIsContacted(t *testing.T) {
	o := newOffice(t, "c-1")
	d := o.draw(pod(1, "spring"), 1)
	o.town.change(func() { o.town.problem = errors.New("the watch did not bring the fence") })
	if _, err := o.desk.Draw(t.Context(), pod(1, "spring"), 9, 0, nil); err == nil {
		t.Error("drawn although nobody knows")
	}
	if _, err := o.desk.Redeem(t.Context(), pod(1, "spring"), ids(d)); err == nil {
		t.Error("redeemed although nobody knows")
	}
	o.want("ledger", []contacts.Event{contacts.Drawn}, o.events("c-1"))
}

func TestOutcomesAreRecordedOnce(t *testing.T) {
	o := newOffice(t, "c-1", "c-2")
	d := o.draw(pod(1, "spring"), 2)
	one := ids(d)[0]
	o.redeem(pod(1, "spring"), one)
	report := func(h Holder, outcomes ...Outcome) []Reported {
		t.Helper()
		r, err := o.desk.Report(t.Context(), h, outcomes)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	got := report(pod(2, "spring"), Outcome{one, "Sent", "250 queued"}, Outcome{one, "HardBounce", ""}, Outcome{one, "Sent", ""}, Outcome{ids(d)[1], "Sent", ""})
	o.want("reports", []Reported{
		{Permit: one, Recorded: true}, {Permit: one, Recorded: true}, {Permit: one, Recorded: true},
		{Permit: ids(d)[1], Why: "the permit is Drawn: only what was redeemed has an outcome"},
	}, got)
	o.want("another campaign's", false, report(pod(1, "autumn"), Outcome{one, "Complained", ""})[0].Recorded)
	o.want("ledger", []contacts.Event{contacts.Drawn, contacts.Redeemed, contacts.Sent, contacts.HardBounce}, o.events("c-1"))
}

func TestASenderThatNeverReportsEndsAllTheSame(t *testing.T) {
	o := newOffice(t, "c-1")
	o.town.cap = 1
	d := o.draw(pod(1, "spring"), 9)
	o.redeem(pod(1, "spring"), ids(d)...)
	if d := o.draw(pod(1, "spring"), 9); !d.Exhausted {
		t.Errorf("nobody is left: %+v", d)
	}
	o.town.wait(permit.Life)
	o.tend()
	o.want("ledger", []contacts.Event{contacts.Drawn, contacts.Redeemed}, o.events("c-1"))
	o.want("a cap counts what was never reported", 0, len(o.draw(pod(1, "autumn"), 9).Permits))
}

func TestClocksThatJump(t *testing.T) {
	o := newOffice(t, "c-1", "c-2")
	o.town.until = noon.Add(time.Hour)
	o.town.says("c-2", paused)
	d := o.draw(pod(1, "spring"), 9)
	o.town.wait(-30 * time.Minute) // back
	o.tend()
	o.want("put back, a permit stays what it was", []permit.Answer{permit.Redeemed}, o.redeem(pod(1, "spring"), ids(d)...))
	o.want("and who was held stays held", 0, len(o.draw(pod(1, "spring"), 9).Permits))
	o.want("and who was contacted is not contacted again", []contacts.Event{contacts.Drawn, contacts.Redeemed}, o.events("c-1"))
	o.town.wait(48 * time.Hour) // and forth
	d = o.draw(pod(1, "spring"), 9)
	o.want("put forth, the hold is over", []string{"c-2"}, people(d))
	o.town.wait(48 * time.Hour)
	o.want("and permits too", []permit.Answer{permit.Expired}, o.redeem(pod(1, "spring"), ids(d)...))
	o.tend()
	o.town.wait(4 * contacts.LookBack) // far forth, and back
	o.desk.forget(o.town.clock())
	o.town.change(func() { o.town.key = "v2" }) // everybody is asked about anew
	o.town.wait(-4 * contacts.LookBack)
	o.tend()
	o.want("and who was contacted is still known", []string{"c-2"}, people(o.draw(pod(2, "spring"), 9)))
}

func TestADrawWaitsForSomebody(t *testing.T) {
	o := newOffice(t, "c-1")
	o.town.says("c-1", func(s *v1alpha1.CustomerConsentSpec) { paused(s) })
	o.town.until = noon.Add(time.Hour)
	got := make(chan *Drawn)
	go func() {
		d, err := o.desk.Draw(context.WithoutCancel(t.Context()), pod(1, "spring"), 9, time.Minute, nil)
		if err != nil {
			t.Error(err)
		}
		got <- d
	}()
	o.town.says("c-2", yes)
	o.town.reveal()
	o.want("a new customer", []string{"c-2"}, people(<-got))

	leave := make(chan struct{})
	go func() {
		d, err := o.desk.Draw(context.WithoutCancel(t.Context()), pod(1, "spring"), 9, time.Minute, leave)
		if err != nil {
			t.Error(err)
		}
		got <- d
	}()
	close(leave)
	o.want("the gate goes away", 0, len((<-got).Permits))
}

// One pod waits while another, of the same run, redeems the last permit and is
// the first to learn that nobody is left.
func TestAllPodsLearnAtOnceThatNobodyIsLeft(t *testing.T) {
	for name, desks := range map[string]int{"at one gate": 1, "at two": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t, "c-1")
				elsewhere := o.desk
				if desks == 2 {
					elsewhere = NewDesk(DeskOptions{Ledger: o.file, World: o.town, Clock: o.town.clock, Log: logr.Discard()})
				}
				d := o.draw(pod(1, "spring"), 9)
				began, got := time.Now(), make(chan *Drawn)
				go func() {
					d, err := elsewhere.Draw(context.WithoutCancel(t.Context()), pod(2, "spring"), 9, time.Minute, nil)
					if err != nil {
						t.Error(err)
					}
					got <- d
				}()
				synctest.Wait()
				o.redeem(pod(1, "spring"), ids(d)...)
				if d := o.draw(pod(1, "spring"), 9); !d.Exhausted {
					t.Errorf("the first pod: %+v", d)
				}
				d = <-got
				if took := time.Since(began); !d.Exhausted || took > time.Second {
					t.Errorf("the second pod: %+v after %s", d, took)
				}
			})
		})
	}
}

func TestManyPodsContactEverybodyOnce(t *testing.T) {
	var everybody []string
	for i := range 500 {
		everybody = append(everybody, fmt.Sprintf("c-%03d", i))
	}
	o := newOffice(t, everybody...)
	o.town.cap = 1
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		sent = map[string]int{}
	)
	second := NewDesk(DeskOptions{Ledger: o.file, World: o.town, Clock: o.town.clock, Log: logr.Discard()})
	for n := range 6 { // two campaigns under one cap, three pods each, at two desks
		desk, h := []*Desk{o.desk, second}[n%2], pod(n, []string{"spring", "autumn"}[n/3])
		wg.Go(func() {
			for {
				d, err := desk.Draw(t.Context(), h, 40, 0, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if len(d.Permits) == 0 {
					return
				}
				results, err := desk.Redeem(t.Context(), h, ids(d))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for i, r := range results {
					if r.State == permit.Redeemed {
						sent[d.Permits[i].Principal]++
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(sent) != len(everybody) {
		t.Errorf("%d of %d were contacted", len(sent), len(everybody))
	}
	for id, n := range sent {
		if n != 1 {
			t.Errorf("%s was contacted %d times", id, n)
		}
	}
}

// counted counts how often the ledger is written to.
type counted struct {
	Reserving
	appends int
}

func (c *counted) AppendIf(ctx context.Context, r []contacts.Record, seen map[string]uint64) ([]contacts.Result, error) {
	c.appends++
	return c.Reserving.AppendIf(ctx, r, seen)
}

// A sync of the disk for every few who are meant would be the price of a small
// audience among many customers.
func TestADrawWritesOnceHoweverFewAreMeant(t *testing.T) {
	var ids []string
	for i := range 5000 {
		ids = append(ids, fmt.Sprintf("c-%04d", i))
	}
	o := newOffice(t, ids...)
	for i := 0; i < len(ids); i += 50 {
		o.town.says(ids[i], func(s *v1alpha1.CustomerConsentSpec) { s.Language = "de" })
	}
	o.town.change(func() {
		o.town.audience = v1alpha1.Audience{Selector: &v1alpha1.AudienceSelector{Languages: []v1alpha1.Language{"de"}}}
	})
	c := &counted{Reserving: o.file}
	o.desk = NewDesk(DeskOptions{Ledger: c, World: o.town, Clock: o.town.clock, Log: logr.Discard()})
	if d := o.draw(pod(1, "spring"), 80); len(d.Permits) != 80 || c.appends != 1 {
		t.Errorf("%d permits, %d appends", len(d.Permits), c.appends)
	}
}

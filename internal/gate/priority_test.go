package gate

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/permit"
)

// rivalry lets spring go before autumn, as if it had been released just now.
func rivalry(t *testing.T, people ...string) *office {
	t.Helper()
	o := newOffice(t, people...)
	o.town.cap = 1
	o.rival(func(*Rival) {})
	return o
}

func (o *office) rival(change func(*Rival)) {
	r := Rival{Case: o.town.place(pod(0, "spring")), Released: o.town.clock(), Told: "campaign spring (priority 10 over 0)"}
	r.Campaign.Job = "" // the World does not know it
	change(&r)
	o.town.change(func() { o.town.ahead = map[string][]Rival{"autumn": {r}} })
}

func TestTheHigherPriorityGetsThePlace(t *testing.T) {
	o := rivalry(t, "c-1", "c-2")
	o.town.says("c-2", no)
	low, high := pod(1, "autumn"), pod(2, "spring")
	d := o.draw(low, 9)
	if len(d.Permits) != 0 || d.Held != 1 || d.Exhausted || d.Next == nil || !d.Next.Equal(noon.Add(yieldAgain)) {
		t.Fatalf("the lower draws %+v", d)
	}
	page, err := o.file.After(t.Context(), 0, 9)
	if err != nil {
		t.Fatal(err)
	}
	o.want("why", []string{v1alpha1.CodeYieldsToPriority}, page.Records[0].Reasons)
	drawn := o.draw(high, 9)
	o.want("the higher draws", []string{"c-1"}, people(drawn))
	o.town.wait(yieldAgain)
	if d := o.draw(low, 9); len(d.Permits) != 0 || d.Held != 1 {
		t.Errorf("the lower draws while the higher has a permit: %+v", d)
	}
	o.release(high, ids(drawn)...)
	if d := o.draw(low, 9); len(d.Permits) != 0 {
		t.Errorf("the lower draws after it was given back: %+v", d)
	}
	o.want("the higher redeems", []permit.Answer{permit.Redeemed}, o.redeem(high, ids(o.draw(high, 9))...))
	o.want("the ledger", []contacts.Event{
		contacts.Held, contacts.Drawn, contacts.Held, contacts.Returned, contacts.Held, contacts.Drawn, contacts.Redeemed,
	}, o.events("c-1"))
}

func TestWhomNobodyElseNeedsIsNotWaitedFor(t *testing.T) {
	for name, change := range map[string]func(o *office){
		"NoCap":       func(o *office) { o.town.change(func() { o.town.cap = 0 }) },
		"RoomForBoth": func(o *office) { o.town.change(func() { o.town.cap = 2 }) },
		"NobodyAhead": func(o *office) { o.town.change(func() { o.town.ahead = nil }) },
		"NotHeardOf":  func(o *office) { o.town.wait(yieldFor) },
		"HeldForLong": func(o *office) { o.rival(func(r *Rival) { r.Judge = says{until: noon.Add(yieldFor)} }) },
		"NoKnownEnd":  func(o *office) { o.rival(func(r *Rival) { r.Judge = says{} }) },
		"Denied":      func(o *office) { o.rival(func(r *Rival) { r.Judge = says{deny: true} }) },
		"NotMeant": func(o *office) {
			o.rival(func(r *Rival) {
				r.Audience = &v1alpha1.Audience{Selector: &v1alpha1.AudienceSelector{Languages: []v1alpha1.Language{"fr"}}}
			})
		},
		"ContactedAlready": func(o *office) {
			o.redeem(pod(2, "spring"), ids(o.draw(pod(2, "spring"), 9))...)
			o.town.change(func() { o.town.cap = 2 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := rivalry(t, "c-1")
			change(o)
			o.want("the lower draws", []string{"c-1"}, people(o.draw(pod(1, "autumn"), 9)))
		})
	}
}

// says is a Judge with one answer: a hold, unless it is to deny.
type says struct {
	deny  bool
	until time.Time
}

func (says) Digest() string { return "" }

func (s says) Judge(_ context.Context, q decision.Question) ([]decision.Answer, error) {
	r := decision.Reason{Code: "QuietHours", Verdict: v1alpha1.VerdictHold, Until: s.until}
	if s.deny {
		r = decision.Reason{Code: "NoGrant", Verdict: v1alpha1.VerdictDeny}
	}
	out := make([]decision.Answer, len(q.Subjects))
	for i := range out {
		out[i] = decision.Answer{Reasons: []decision.Reason{r}, StaleAt: s.until}
	}
	return out, nil
}

func TestWhoMayContactSoonIsWaitedFor(t *testing.T) {
	o := rivalry(t, "c-1")
	o.rival(func(r *Rival) { r.Judge = says{until: noon.Add(yieldFor - time.Second)} })
	if d := o.draw(pod(1, "autumn"), 9); len(d.Permits) != 0 || d.Held != 1 {
		t.Errorf("the lower draws %+v", d)
	}
}

// A permit that is out keeps its place: priority is a matter of drawing.
func TestPriorityTakesNothingBack(t *testing.T) {
	o := rivalry(t, "c-1")
	o.town.change(func() { o.town.ahead = nil })
	drawn := ids(o.draw(pod(1, "autumn"), 9))
	o.rival(func(*Rival) {})
	if d := o.draw(pod(2, "spring"), 9); len(d.Permits) != 0 || d.Held != 1 {
		t.Errorf("the higher draws over the cap: %+v", d)
	}
	o.want("redeem", []permit.Answer{permit.Redeemed}, o.redeem(pod(1, "autumn"), drawn...))
}

// A run goes on being waited for as long as something is heard of it.
func TestARunThatGoesOnIsWaitedFor(t *testing.T) {
	o := rivalry(t, "c-1", "c-2")
	o.town.change(func() { o.town.pace = 1 })
	o.town.wait(yieldFor - time.Minute)
	o.want("the higher draws one", []string{"c-1"}, people(o.draw(pod(2, "spring"), 9)))
	o.town.wait(yieldFor - time.Minute)
	if d := o.draw(pod(1, "autumn"), 9); len(d.Permits) != 0 {
		t.Errorf("the lower draws %v", people(d))
	}
	o.town.wait(time.Minute)
	o.want("when it was quiet for too long", []string{"c-2"}, people(o.draw(pod(1, "autumn"), 9)))
}

func TestNobodyKnowsWhoGoesFirst(t *testing.T) {
	o := newOffice(t, "c-1")
	lost := errors.New("no route to host")
	c := o.town.place(pod(1, "autumn"))
	c.Ahead = func(context.Context) ([]Rival, error) { return nil, lost }
	a := &asked{ids: []string{"c-1"}, subjects: make([]decision.Subject, 1)}
	if err := o.desk.giveWay(t.Context(), c, a, make([]decision.Answer, 1), noon); !errors.Is(err, lost) {
		t.Errorf("got %v", err)
	}
}

package contacts_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
)

// under makes a record one of permit p-1 of run j-1.
func under(e contacts.Event, state contacts.State) func(*contacts.Record) {
	return func(r *contacts.Record) {
		of("u", 1, "j-1")(r)
		r.Event, r.Permit, r.State, r.Pod, r.Until = e, "p-1", state, "pod-1", r.At.Add(time.Minute)
	}
}

func TestAPermitIsOneContactAtMost(t *testing.T) {
	drawn := sent("c-1", 3*time.Minute, under(contacts.Drawn, contacts.StateDrawn))
	redeemed := sent("c-1", 2*time.Minute, under(contacts.Redeemed, contacts.StateRedeemed))
	at := func(ago time.Duration) []decision.Contact {
		return []decision.Contact{{At: noon.Add(-ago).UnixNano(), Brand: "acme", Purpose: "DirectMarketing", Class: "Marketing", Channel: "Email"}}
	}
	outcome := func(e contacts.Event) contacts.Record {
		return sent("c-1", time.Minute, under(e, contacts.StateReported))
	}
	for name, tc := range map[string]struct {
		records []contacts.Record
		want    decision.Contacts
	}{
		"DrawnTakesAPlace":          {[]contacts.Record{drawn}, decision.Contacts{Sent: at(3 * time.Minute)}},
		"RedeemedTakesItOver":       {[]contacts.Record{drawn, redeemed}, decision.Contacts{Sent: at(2 * time.Minute)}},
		"SentAddsNothing":           {[]contacts.Record{drawn, redeemed, outcome(contacts.Sent)}, decision.Contacts{Sent: at(2 * time.Minute)}},
		"FailedTakesNothingBack":    {[]contacts.Record{drawn, redeemed, outcome(contacts.Failed)}, decision.Contacts{Sent: at(2 * time.Minute)}},
		"ExpiredGivesBack":          {[]contacts.Record{drawn, sent("c-1", time.Minute, under(contacts.Expired, contacts.StateExpired))}, decision.Contacts{}},
		"VoidedGivesBack":           {[]contacts.Record{drawn, sent("c-1", time.Minute, under(contacts.Voided, contacts.StateVoided))}, decision.Contacts{}},
		"ReturnedGivesBack":         {[]contacts.Record{drawn, sent("c-1", time.Minute, under(contacts.Returned, contacts.StateReleased))}, decision.Contacts{}},
		"RefusedAtTheLastGivesBack": {[]contacts.Record{drawn, sent("c-1", time.Minute, under(contacts.Refused, contacts.StateVoided))}, decision.Contacts{}},
		"AnotherRunsExpiryDoesNot": {[]contacts.Record{drawn, sent("c-1", time.Minute, under(contacts.Expired, contacts.StateExpired), of("u", 1, "j-2"))},
			decision.Contacts{Sent: at(3 * time.Minute)}},
		"AComplaintIsAnEventToo": {[]contacts.Record{drawn, redeemed, outcome(contacts.Complaint)}, decision.Contacts{
			Sent: at(2 * time.Minute), Events: []decision.Event{{Type: "Complaint", At: noon.Add(-time.Minute).UnixNano(), Brand: "acme", Channel: "Email"}},
		}},
		"ARefusalIsNone": {[]contacts.Record{sent("c-1", time.Minute, event(contacts.Refused))}, decision.Contacts{}},
		"AHoldIsNone":    {[]contacts.Record{sent("c-1", time.Minute, event(contacts.Held))}, decision.Contacts{}},
	} {
		t.Run(name, func(t *testing.T) {
			p := projection(t, tc.records...)
			got, version := p.View(noon).Contacts("c-1")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("contacts (-want +got):\n%s", diff)
			}
			if version != p.View(noon).Version("c-1") {
				t.Error("Version differs from that of Contacts")
			}
			own, _ := p.View(noon, contacts.Run{UID: "u", Job: "j-1"}).Contacts("c-1")
			if name != "AnotherRunsExpiryDoesNot" && len(own.Sent) != 0 {
				t.Errorf("a run's own permits count against it: %v", own.Sent)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	refused := func(codes ...string) func(*contacts.Record) {
		return func(r *contacts.Record) { r.Event, r.Reasons = contacts.Refused, codes }
	}
	run := contacts.Run{UID: "u", Job: "j-1"}
	p := projection(t,
		sent("c-1", 2*time.Minute, under(contacts.Drawn, contacts.StateDrawn)),
		sent("c-2", 2*time.Minute, under(contacts.Drawn, contacts.StateDrawn)),
		sent("c-3", 2*time.Minute, under(contacts.Drawn, contacts.StateDrawn)),
		sent("c-1", 2*time.Minute, under(contacts.Redeemed, contacts.StateRedeemed)),
		sent("c-1", time.Minute, under(contacts.Sent, contacts.StateReported)),
		sent("c-1", time.Minute, under(contacts.HardBounce, contacts.StateReported)),
		sent("c-2", time.Minute, under(contacts.Refused, contacts.StateVoided), refused("OptedOut", "QuietHours")),
		sent("c-4", time.Minute, of("u", 1, "j-1"), refused("OptedOut")),
		sent("c-5", time.Minute, of("u", 1, "j-2"), refused("OptedOut")),
	)
	got := p.Progress(run)
	want := contacts.Progress{Drawn: 3, Outstanding: 1, Redeemed: 1, Sent: 1, Bounced: 1}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(contacts.Progress{})); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]contacts.Refusal{{"OptedOut", 2}, {"QuietHours", 1}}, got.Refused()); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(contacts.Progress{}, p.Progress(contacts.Run{UID: "u", Job: "j-9"}), cmpopts.IgnoreUnexported(contacts.Progress{})); diff != "" {
		t.Errorf("a run that nothing is known of:\n%s", diff)
	}
}

// A campaign's status counts people: one who is refused time and again, for
// reasons that change, is one.
func TestWhoIsRefusedAgainIsOnePerson(t *testing.T) {
	run := contacts.Run{UID: "u", Job: "j-1"}
	var records []contacts.Record
	for i, codes := range [][]string{{"OptedOut", "QuietHours"}, {"OptedOut"}, {"FrequencyCapping", "OptedOut"}} {
		for n := range 130 { // more than a word has bits
			records = append(records, sent(fmt.Sprint("c-", n), time.Duration(9-i)*time.Minute, of("u", 1, "j-1"), func(r *contacts.Record) {
				r.Event, r.Reasons = contacts.Refused, codes
			}))
		}
	}
	records = append(records, sent("c-7", time.Minute, under(contacts.Refused, contacts.StateVoided), func(r *contacts.Record) {
		r.Reasons = []string{"OptedOut"}
	}))
	p := projection(t, records...)
	got := p.Progress(run)
	if diff := cmp.Diff([]contacts.Refusal{{"FrequencyCapping", 130}, {"OptedOut", 130}, {"QuietHours", 130}}, got.Refused()); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}

// Senders report in any order, several things of one message, or nothing at all.
func TestWhatSendersNeverSaidIsCounted(t *testing.T) {
	redeemed := []contacts.Record{
		sent("c-1", 9*time.Minute, under(contacts.Redeemed, contacts.StateRedeemed)),
		sent("c-2", 9*time.Minute, under(contacts.Redeemed, contacts.StateRedeemed)),
		sent("c-1", 9*time.Minute, under(contacts.Redeemed, contacts.StateRedeemed), of("u", 1, "j-2")),
	}
	outcome := func(e contacts.Event) contacts.Record {
		return sent("c-1", time.Minute, under(e, contacts.StateReported))
	}
	for name, tc := range map[string]struct {
		reports []contacts.Record
		want    int64
	}{
		"NothingWasSaid":     {nil, 2},
		"Sent":               {[]contacts.Record{outcome(contacts.Sent)}, 1},
		"Failed":             {[]contacts.Record{outcome(contacts.Failed)}, 1},
		"OnlyThatItCameBack": {[]contacts.Record{outcome(contacts.HardBounce)}, 1},
		"SeveralThings":      {[]contacts.Record{outcome(contacts.Sent), outcome(contacts.SoftBounce), outcome(contacts.Complaint)}, 1},
		"OfAnotherRun":       {[]contacts.Record{sent("c-1", time.Minute, under(contacts.Sent, contacts.StateReported), of("u", 1, "j-2"))}, 2},
		"ByAnotherSystem":    {[]contacts.Record{sent("c-1", time.Minute, event(contacts.HardBounce))}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := projection(t, redeemed...), projection(t, append(slices.Clone(redeemed), tc.reports...)...)
			if g := after.Progress(contacts.Run{UID: "u", Job: "j-1"}); g.Unreported != tc.want || g.Redeemed != 2 {
				t.Errorf("%d of %d unreported, want %d", g.Unreported, g.Redeemed, tc.want)
			}
			was, _ := before.View(noon).Contacts("c-1")
			is, _ := after.View(noon).Contacts("c-1")
			if diff := cmp.Diff(was.Sent, is.Sent); diff != "" {
				t.Errorf("a report changes contacts (-before +after):\n%s", diff)
			}
		})
	}
}

func TestThePaceIsThatOfTheLastWholeMinutes(t *testing.T) {
	var records []contacts.Record
	for i := range 12 { // three a minute, four minutes long, and the same long ago
		records = append(records,
			sent("c-1", time.Duration(1+20*i)*time.Second, under(contacts.Redeemed, contacts.StateRedeemed)),
			sent("c-1", time.Hour+time.Duration(i)*time.Second, under(contacts.Redeemed, contacts.StateRedeemed)))
	}
	g := projection(t, records...).Progress(contacts.Run{UID: "u", Job: "j-1"})
	if got := g.PerMinute(noon.Add(59 * time.Second)); got != 3 {
		t.Errorf("%d a minute, want 3", got)
	}
	if got := g.PerMinute(noon.Add(time.Hour)); got != 0 {
		t.Errorf("an hour later %d a minute", got)
	}
}

func TestRefusedPermitRecords(t *testing.T) {
	valid := func(change func(*contacts.Record)) []contacts.Record {
		r := sent("c-1", 0, under(contacts.Drawn, contacts.StateDrawn))
		change(&r)
		return []contacts.Record{r}
	}
	for name, tc := range map[string]struct {
		change func(*contacts.Record)
		field  string
	}{
		"AsItShouldBe":        {func(*contacts.Record) {}, ""},
		"NoPermit":            {func(r *contacts.Record) { r.Permit, r.State = "", "" }, "permit"},
		"AnotherState":        {func(r *contacts.Record) { r.State = contacts.StateRedeemed }, "state"},
		"NoJob":               {func(r *contacts.Record) { r.Campaign.Job = "" }, "campaign.job"},
		"NoEnd":               {func(r *contacts.Record) { r.Until = time.Time{} }, "until"},
		"AnEndOutOfTime":      {func(r *contacts.Record) { r.Until = noon.AddDate(1000, 0, 0) }, "until"},
		"NoPod":               {func(r *contacts.Record) { r.Pod = "" }, "pod"},
		"APurchaseUnderIt":    {func(r *contacts.Record) { r.Event = contacts.Purchase }, "permit"},
		"ACodeWithBlanks":     {func(r *contacts.Record) { r.Reasons = []string{"quiet hours"} }, "reasons[0]"},
		"CodesOutOfOrder":     {func(r *contacts.Record) { r.Reasons = []string{"B", "A"} }, "reasons"},
		"TooManyCodes":        {func(r *contacts.Record) { r.Reasons = make([]string, 65) }, "reasons"},
		"AnAddressAsDetail":   {func(r *contacts.Record) { r.Detail = "to a@example.org" }, "detail"},
		"ALongDetail":         {func(r *contacts.Record) { r.Detail = strings.Repeat("x", 129) }, "detail"},
		"AHoldUnderAPermit":   {func(r *contacts.Record) { r.Event = contacts.Held }, "permit"},
		"ARefusalUnderIt":     {func(r *contacts.Record) { r.Event, r.State = contacts.Refused, contacts.StateVoided }, ""},
		"ARefusalWithoutOne":  {func(r *contacts.Record) { r.Event, r.Permit, r.State = contacts.Refused, "", "" }, ""},
		"AStateWithoutPermit": {func(r *contacts.Record) { r.Event, r.Permit = contacts.Refused, "" }, "state"},
	} {
		t.Run(name, func(t *testing.T) {
			err := contacts.Validate(valid(tc.change), noon)
			if tc.field == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var f *contacts.FieldError
			if !errors.As(err, &f) || f.Field != "records[0]."+tc.field {
				t.Errorf("got %v, want field %s", err, tc.field)
			}
		})
	}
}

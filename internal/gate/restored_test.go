package gate

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
)

// After the ledger came back from a backup nobody knows who was contacted since:
// nobody is, until somebody vouches; and who draws already never draws again.
func TestARestoredLedgerContactsNobody(t *testing.T) {
	o := newOffice(t, "c-1", "c-2")
	before, after := pod(1, "spring"), pod(2, "summer")
	held := ids(o.draw(before, 1))
	now := o.town.clock()
	o.town.wait(time.Minute)
	o.town.change(func() { o.town.began = map[string]time.Time{"spring": now, "summer": now.Add(2 * time.Minute)} })
	restored := contacts.Restore("the-former/1", now, o.town.clock())
	if _, err := o.file.Append(t.Context(), []contacts.Record{restored}); err != nil {
		t.Fatal(err)
	}
	o.restart()
	var gap *contacts.GapError
	for name, h := range map[string]Holder{"a run of before": before, "a run of after": after} {
		if _, err := o.desk.Draw(t.Context(), h, 10, 0, nil); !errors.As(err, &gap) {
			t.Errorf("%s draws: %v", name, err)
		}
	}
	if _, err := o.desk.Redeem(t.Context(), before, held); !errors.As(err, &gap) {
		t.Errorf("redeemed: %v", err)
	}
	if _, err := o.file.Append(t.Context(), []contacts.Record{gap.Vouch("nothing was sent", o.town.clock())}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.desk.Draw(t.Context(), before, 10, 0, nil); !errors.Is(err, ErrForbidden) {
		t.Errorf("a run of before draws again: %v", err)
	}
	o.want("drawn afterwards", []string{"c-1", "c-2"}, people(o.draw(after, 10)))
}

// Others contact people all the time, and each time on later consents than those
// that are on their way to this one: that is no backup.
func TestOthersAreAlwaysAhead(t *testing.T) {
	o := newOffice(t, "c-1", "c-2")
	held := ids(o.draw(pod(1, "spring"), 1))
	revision := 100
	o.town.meanwhile = func() {
		revision++
		later := fmt.Sprint("cr-1-", revision)
		o.town.change(func() { o.town.revision = later })
		terms := o.town.place(pod(2, "summer")).Terms
		note := terms.Note(newKey("note"), "c-9", o.town.clock(), []decision.Reason{{Code: "NoGrant"}})
		if _, err := o.file.Append(t.Context(), []contacts.Record{note}); err != nil {
			t.Error(err)
		}
		if _, err := o.desk.advance(t.Context()); err != nil {
			t.Error(err)
		}
	}
	o.town.change(func() { o.town.revision = "cr-1-100" })
	if _, err := o.desk.Redeem(t.Context(), pod(1, "spring"), held); err != nil {
		t.Errorf("redeemed: %v", err)
	}
	if _, err := o.desk.Draw(t.Context(), pod(1, "spring"), 1, 0, nil); err != nil {
		t.Errorf("drawn: %v", err)
	}
}

// An apiserver that was restored from a backup has forgotten withdrawals. Where
// its revisions begin again behind those that contacts were decided on, that
// shows, and nobody is contacted.
func TestRestoredConsentsContactNobody(t *testing.T) {
	for name, tc := range map[string]struct {
		was, is string
		good    bool
	}{
		"TheNext":           {"cr-1-99", "cr-1-100", true},
		"TheSame":           {"cr-1-99", "cr-1-99", true},
		"AnEarlierOne":      {"cr-1-100", "cr-1-99", false},
		"OfAnotherStore":    {"cr-1-100", "cr-2-7", true},
		"OfAnotherKind":     {"cr-1-100", "pg-1-7", true},
		"AfterManyOfBefore": {"cr-1-1000000000", "cr-1-999999999", false},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, "c-1", "c-2")
			o.town.change(func() { o.town.revision = tc.was })
			held := ids(o.draw(pod(1, "spring"), 1))
			o.town.change(func() { o.town.revision = tc.is })
			_, drawn := o.desk.Draw(t.Context(), pod(1, "spring"), 1, 0, nil)
			_, redeemed := o.desk.Redeem(t.Context(), pod(1, "spring"), held)
			if tc.good != (drawn == nil) || tc.good != (redeemed == nil) {
				t.Errorf("drawn: %v, redeemed: %v", drawn, redeemed)
			}
		})
	}
}

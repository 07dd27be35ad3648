package gate

import (
	"errors"
	"testing"
	"time"

	"github.com/codb-dev/codb/internal/contacts"
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

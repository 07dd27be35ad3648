package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/internal/permit"
	"github.com/codb-dev/codb/test/postgres"
)

// stores are made anew by each call.
func stores(t *testing.T) map[string]func() ledger.Renewing {
	return map[string]func() ledger.Renewing{
		"file": func() ledger.Renewing {
			s, err := ledger.Open(t.TempDir()+"/contacts.db", options())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s
		},
		"database": func() ledger.Renewing { return open(t, postgres.Place(t), time.Minute) },
	}
}

// growing gets another record whenever it is read.
type growing struct {
	ledger.Store
	n int
}

func (g *growing) After(ctx context.Context, sequence uint64, limit int) (contacts.Page, error) {
	page, err := g.Store.After(ctx, sequence, limit)
	g.n++
	_, more := g.Append(ctx, records(10_000+g.n, 10_001+g.n))
	return page, errors.Join(err, more)
}

// underPermits are a permit that was drawn, and one that was used.
func underPermits(now time.Time) []ledger.Record {
	terms := permit.Terms{Campaign: contacts.Campaign{Namespace: "acme-shop", Name: "spring", UID: "u", Generation: 1, Job: "j"}}
	terms.Facts.Brand, terms.Facts.Purpose, terms.Facts.PurposeClass, terms.Facts.Channel = "acme", "News", "Marketing", "Email"
	out := []ledger.Record{terms.Draw("held", "pod-1", "c-held", now), terms.Draw("used", "pod-1", "c-used", now)}
	book := permit.NewBook()
	book.Apply(out)
	used, _ := book.Find("used")
	return append(out, used.Redeem(&terms, "permit/used/redeemed", now))
}

func all(t *testing.T, s ledger.Store) []ledger.Record {
	t.Helper()
	page, err := s.After(t.Context(), 0, contacts.MaxBatch)
	if err != nil {
		t.Fatal(err)
	}
	for i := range page.Records {
		page.Records[i].Sequence = 0
	}
	return page.Records
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A ledger comes back as it was when the backup began, in whichever store, and
// knows what it does not know.
func TestABackupComesBack(t *testing.T) {
	now := options().Clock()
	for from, begin := range stores(t) {
		for to, empty := range stores(t) {
			t.Run(from+" to "+to, func(t *testing.T) {
				old := begin()
				want := append(records(0, 300), underPermits(now)...)
				_, err := old.Append(t.Context(), want)
				must(t, err)
				var saved bytes.Buffer
				made := now.Add(-time.Hour)
				n, err := ledger.Backup(t.Context(), &growing{Store: old}, made, &saved)
				must(t, err)
				if n != uint64(len(want)) {
					t.Fatalf("%d records of %d", n, len(want))
				}
				back := empty()
				if _, err := ledger.Restore(t.Context(), bytes.NewReader(saved.Bytes()[:saved.Len()/2]), back, now); !errors.Is(err, ledger.ErrBackup) {
					t.Errorf("half a backup: %v", err)
				}
				if err := ledger.Gap(t.Context(), back); !errors.Is(err, contacts.ErrGap) {
					t.Errorf("half restored: %v", err)
				}
				_, err = ledger.Restore(t.Context(), &saved, back, now)
				must(t, err)
				got := all(t, back)
				if diff := cmp.Diff(want, got[1:1+len(want)]); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if back.ID() == old.ID() || got[0].Event != contacts.Restored {
					t.Error("it takes itself for the one that was backed up")
				}
				check(t, back, made, now)
			})
		}
	}
}

// check looks at what a restored ledger is to know.
func check(t *testing.T, s ledger.Store, made, now time.Time) {
	t.Helper()
	book := permit.NewBook()
	book.Apply(all(t, s))
	run := contacts.Run{UID: "u", Job: "j"}
	if _, answer := book.Redeem("held", run, "pod-1", now); answer != permit.Voided {
		t.Errorf("a permit of before: %q", answer)
	}
	if _, answer := book.Redeem("used", run, "pod-1", now); answer != permit.AlreadyRedeemed {
		t.Errorf("a used permit of before: %q", answer)
	}
	var gap *contacts.GapError
	if err := ledger.Gap(t.Context(), s); !errors.As(err, &gap) || !gap.From.Equal(made) || !gap.To.Equal(now) {
		t.Fatalf("what it does not know: %v", err)
	}
	_, err := s.Append(t.Context(), []ledger.Record{gap.Vouch("the senders' logs are in", now)})
	must(t, err)
	must(t, ledger.Gap(t.Context(), s))
}

// Who vouched once did not vouch for what is lost the next time.
func TestTheNextGapIsOpenAgain(t *testing.T) {
	now := options().Clock()
	for name, begin := range stores(t) {
		t.Run(name, func(t *testing.T) {
			var saved bytes.Buffer
			s := begin()
			_, err := s.Append(t.Context(), underPermits(now.Add(-time.Hour)))
			must(t, err)
			for round := range 3 {
				saved.Reset()
				_, err := ledger.Backup(t.Context(), s, now.Add(time.Duration(round-3)*time.Minute), &saved)
				must(t, err)
				s = begin()
				_, err = ledger.Restore(t.Context(), &saved, s, now)
				must(t, err)
				check(t, s, now.Add(time.Duration(round-3)*time.Minute), now)
			}
		})
	}
}

// A dump or a snapshot that was brought back takes itself for the ledger that
// it is a copy of, until it is renewed.
func TestARenewedLedgerIsAnother(t *testing.T) {
	now := options().Clock()
	for name, begin := range stores(t) {
		t.Run(name, func(t *testing.T) {
			s := begin()
			_, err := s.Append(t.Context(), underPermits(now.Add(-time.Hour)))
			must(t, err)
			was := s.ID()
			check := func() { check(t, s, now.Add(-time.Hour), now) }
			if name == "database" {
				at := postgres.Place(t)
				first := open(t, at, time.Minute)
				s = open(t, at, time.Minute)
				_, err = s.Append(t.Context(), underPermits(now.Add(-time.Hour)))
				must(t, err)
				was = s.ID()
				must(t, ledger.Renew(t.Context(), s, now))
				if _, err := first.Append(t.Context(), records(0, 1)); !errors.Is(err, ledger.ErrBroken) {
					t.Errorf("a gate of before goes on: %v", err)
				}
				s = open(t, at, time.Minute)
			} else {
				must(t, ledger.Renew(t.Context(), s, now))
			}
			if s.ID() == was {
				t.Error("it is still the former")
			}
			check()
		})
	}
}

func TestWhatIsNoBackup(t *testing.T) {
	var saved bytes.Buffer
	now, old := options().Clock(), stores(t)["file"]()
	_, err := old.Append(t.Context(), records(0, 50))
	must(t, err)
	_, err = ledger.Backup(t.Context(), old, now, &saved)
	must(t, err)
	for n := range saved.Len() {
		if _, err := ledger.Restore(t.Context(), bytes.NewReader(saved.Bytes()[:n]), discard{}, now); !errors.Is(err, ledger.ErrBackup) {
			t.Fatalf("%d of %d bytes: %v", n, saved.Len(), err)
		}
	}
	flipped := bytes.Clone(saved.Bytes())
	flipped[len(flipped)-6] ^= 1
	for name, data := range map[string][]byte{"Flipped": flipped, "Nothing": nil, "Text": []byte("codb"), "Twice": append(bytes.Clone(saved.Bytes()), saved.Bytes()...)} {
		if _, err := ledger.Restore(t.Context(), bytes.NewReader(data), discard{}, now); !errors.Is(err, ledger.ErrBackup) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ledger.Restore(t.Context(), bytes.NewReader(saved.Bytes()), old, now); err == nil {
		t.Error("restored over a ledger that there is")
	}
	if _, err := ledger.Backup(t.Context(), old, now, full{}); !errors.Is(err, errFull) {
		t.Errorf("onto a full disk: %v", err)
	}
}

// discard is an empty ledger that takes everything.
type discard struct{ ledger.Store }

func (discard) After(context.Context, uint64, int) (contacts.Page, error) {
	return contacts.Page{}, nil
}

func (discard) Append(_ context.Context, r []ledger.Record) ([]ledger.Result, error) {
	return make([]ledger.Result, len(r)), nil
}

var errFull = fmt.Errorf("no space left on device")

type full struct{ io.Writer }

func (full) Write([]byte) (int, error) { return 0, errFull }

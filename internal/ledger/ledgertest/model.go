package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/ledger"
)

// plain is a ledger that is too simple to be wrong.
type plain struct {
	records   []ledger.Record
	sequences []uint64 // of the records, as the store said: it may leave numbers out
}

// append returns what becomes of the records, with their places plus one for
// sequences; no success is a conflict. With seen, it is AppendIf.
func (p *plain) append(records []ledger.Record, seen map[string]uint64) (results []ledger.Result, ok bool) {
	next, refused := slices.Clone(p.records), map[string]ledger.Record{}
	for _, r := range records {
		i := slices.IndexFunc(next, func(x ledger.Record) bool { return x.Key == r.Key })
		latest := uint64(p.latest(r.Principal))
		other, again := refused[r.Key]
		switch {
		case i >= 0 && !cmp.Equal(next[i], r), again && !cmp.Equal(other, r):
			return nil, false
		case i >= 0:
			results = append(results, ledger.Result{Sequence: uint64(i + 1), Duplicate: true})
		case seen != nil && latest > seen[r.Principal]:
			refused[r.Key] = r
			results = append(results, ledger.Result{Sequence: latest, Moved: true})
		default:
			next = append(next, r)
			results = append(results, ledger.Result{Sequence: uint64(len(next))})
		}
	}
	p.records = next
	return results, true
}

// check compares what became of records, and takes note of their sequences.
func (p *plain) check(t *rapid.T, want, got []ledger.Result, ok bool, err error) {
	if ok != (err == nil) || (!ok && !errors.Is(err, contacts.ErrConflict)) || len(want) != len(got) {
		t.Fatalf("got %v, %v; want %v, success: %v", got, err, want, ok)
	}
	for i, w := range want {
		if place := int(w.Sequence); place <= len(p.sequences) {
			w.Sequence = p.sequences[place-1]
		} else {
			if n := len(p.sequences); n > 0 && got[i].Sequence <= p.sequences[n-1] {
				t.Fatalf("record %d: sequence %d follows %d", i, got[i].Sequence, p.sequences[n-1])
			}
			w.Sequence = got[i].Sequence
			p.sequences = append(p.sequences, w.Sequence)
		}
		if got[i] != w {
			t.Fatalf("record %d: got %+v, want %+v", i, got[i], w)
		}
	}
}

// latest is the place plus one of the customer's latest record.
func (p *plain) latest(principal string) (n int) {
	for i, r := range p.records {
		if r.Principal == principal {
			n = i + 1
		}
	}
	return n
}

func (p *plain) byPrincipal(principal string, since time.Time, limit int) []ledger.Record {
	var out []ledger.Record
	for _, r := range p.records {
		if r.Principal == principal && !r.At.Before(since) {
			out = append(out, r)
		}
	}
	slices.Reverse(out)
	slices.SortStableFunc(out, func(a, b ledger.Record) int { return b.At.Compare(a.At) })
	return out[:min(limit, len(out))]
}

func (p *plain) count(principal string, q ledger.CountQuery) (n int) {
	for _, r := range p.records {
		if r.Principal == principal && (r.Event == contacts.Sent || r.Event == contacts.Released) &&
			!r.At.Before(q.Since) && (q.Until.IsZero() || r.At.Before(q.Until)) &&
			(q.Brand == "" || r.Brand == q.Brand) && (q.Channels == nil || slices.Contains(q.Channels, r.Channel)) {
			n++
		}
	}
	return n
}

var (
	principals = rapid.SampledFrom([]string{"c", "c-1", "c-10", "c-2", "d"})
	instants   = rapid.Custom(func(t *rapid.T) time.Time {
		return noon.Add(-time.Duration(rapid.IntRange(0, 6).Draw(t, "hours")) * time.Hour)
	})
	anyChannel = rapid.SampledFrom([]v1alpha1.Channel{v1alpha1.ChannelEmail, v1alpha1.ChannelSMS})
	// Few keys, so that duplicates and conflicts are frequent.
	anyRecord = rapid.Custom(func(t *rapid.T) ledger.Record {
		r := sent(fmt.Sprint("k", rapid.IntRange(0, 40).Draw(t, "key")), principals.Draw(t, "principal"), instants.Draw(t, "at"))
		r.Brand = rapid.SampledFrom([]string{"acme", "globex"}).Draw(t, "brand")
		r.Channel = anyChannel.Draw(t, "channel")
		r.Event = rapid.SampledFrom([]contacts.Event{contacts.Sent, contacts.Released, contacts.Complaint}).Draw(t, "event")
		return r
	})
)

// model drives a store and the plain ledger alike and compares all answers.
func model(t *testing.T, open Open) {
	rapid.Check(t, func(t *rapid.T) {
		place, err := os.MkdirTemp("", "ledger")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(place)
		s, err := open(place, atNoon)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		p, ctx := &plain{}, context.Background()
		unnumbered := cmpopts.IgnoreFields(ledger.Record{}, "Sequence")
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				records := rapid.SliceOfN(anyRecord, 1, 6).Draw(t, "records")
				want, ok := p.append(records, nil)
				got, err := s.Append(ctx, records)
				p.check(t, want, got, ok, err)
			},
			"append if": func(t *rapid.T) {
				records := rapid.SliceOfN(anyRecord, 1, 6).Draw(t, "records")
				places, seen := map[string]uint64{}, map[string]uint64{}
				for _, r := range records {
					place := rapid.IntRange(0, len(p.records)).Draw(t, "seen")
					places[r.Principal], seen[r.Principal] = uint64(place), 0
					if place > 0 {
						seen[r.Principal] = p.sequences[place-1]
					}
				}
				want, ok := p.append(records, places)
				got, err := s.AppendIf(ctx, records, seen)
				p.check(t, want, got, ok, err)
			},
			"open again": func(t *rapid.T) {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s, err = open(place, atNoon); err != nil {
					t.Fatal(err)
				}
			},
			"after": func(t *rapid.T) {
				page, err := s.After(ctx, 0, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(p.records, page.Records, unnumbered, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("feed (-want +got):\n%s", diff)
				}
			},
			"by principal": func(t *rapid.T) {
				principal, since, limit := principals.Draw(t, "principal"), instants.Draw(t, "since"), rapid.IntRange(0, 9).Draw(t, "limit")
				got, err := s.ByPrincipal(ctx, principal, since, limit)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(p.byPrincipal(principal, since, limit), got, unnumbered, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("records (-want +got):\n%s", diff)
				}
			},
			"count": func(t *rapid.T) {
				q := ledger.CountQuery{Since: instants.Draw(t, "since"), Until: instants.Draw(t, "until")}
				q.Brand = rapid.SampledFrom([]string{"", "acme"}).Draw(t, "brand")
				if rapid.Bool().Draw(t, "by channel") {
					q.Channels = []v1alpha1.Channel{anyChannel.Draw(t, "channel")}
				}
				principal := principals.Draw(t, "principal")
				got, err := s.Count(ctx, principal, q)
				if want := p.count(principal, q); err != nil || got != want {
					t.Fatalf("got %d, %v; want %d", got, err, want)
				}
			},
		})
	})
}

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
type plain struct{ records []ledger.Record }

// append returns the records' places, or -1 for a conflict.
func (p *plain) append(records []ledger.Record) (places []int, ok bool) {
	next := slices.Clone(p.records)
	for _, r := range records {
		i := slices.IndexFunc(next, func(x ledger.Record) bool { return x.Key == r.Key })
		switch {
		case i < 0:
			next = append(next, r)
			places = append(places, len(next)-1)
		case cmp.Equal(next[i], r):
			places = append(places, i)
		default:
			return nil, false
		}
	}
	p.records = next
	return places, true
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
				before := len(p.records)
				places, ok := p.append(records)
				results, err := s.Append(ctx, records)
				if ok != (err == nil) || (!ok && !errors.Is(err, contacts.ErrConflict)) {
					t.Fatalf("got %v, want success: %v", err, ok)
				}
				for i, r := range results {
					first := slices.Index(places, places[i])
					if wantDuplicate := places[i] < before || first != i; r.Duplicate != wantDuplicate || r.Sequence != results[first].Sequence {
						t.Fatalf("record %d: got %+v, want duplicate %v", i, r, wantDuplicate)
					}
				}
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

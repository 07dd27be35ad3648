package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/test/postgres"
)

func openTable(t *testing.T, at string) *consentstore.Database {
	t.Helper()
	d, err := openConsents(t.Context(), at, consentstore.DatabaseOptions{Patience: time.Minute}) // the machine may be busy
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func openLedger(t *testing.T, at string) *ledger.Database {
	t.Helper()
	l, err := ledger.OpenDatabase(t.Context(), at, ledger.DatabaseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestAContactIsRecordedOnTheConsentItWasDecidedOn plays a gate that is paused
// between its proof and its record: what was committed in between wins, with
// nobody's help.
func TestAContactIsRecordedOnTheConsentItWasDecidedOn(t *testing.T) {
	at := postgres.Place(t)
	people, door := openTable(t, at), openTable(t, at)
	l := openLedger(t, at)
	if err := l.Require(t.Context(), people); err != nil {
		t.Fatal(err)
	}
	said := map[string]*v1alpha1.CustomerConsent{}
	says := func(id string, change func(*v1alpha1.CustomerConsentSpec)) {
		t.Helper()
		c := said[id]
		if c == nil {
			c = &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Name: id}}
		}
		c = c.DeepCopy()
		change(&c.Spec)
		now, err := door.Put(t.Context(), "test", []*v1alpha1.CustomerConsent{c})
		if err != nil {
			t.Fatal(err)
		}
		said[id] = now[0]
	}
	proof := func() string {
		t.Helper()
		revision, err := people.Fence(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
	n := 0
	record := func(id, revision string, event contacts.Event) contacts.Record {
		n++
		return contacts.Record{
			Key: fmt.Sprintf("k-%d", n), At: time.Now(), Principal: id, Event: event, Brand: "acme", Purpose: "Marketing",
			Class: v1alpha1.ClassMarketing, Channel: v1alpha1.ChannelEmail, PolicyDigest: "sha256:" + strings.Repeat("0", 64), ConsentRevision: revision,
			Campaign: contacts.Campaign{Namespace: "acme-shop", Name: "spring", UID: "u", Generation: 1, Job: "j"},
		}
	}
	moved := func(records ...contacts.Record) []bool {
		t.Helper()
		seen := map[string]uint64{}
		for _, r := range records {
			seen[r.Principal] = l.Sequence()
		}
		results, err := l.AppendIf(t.Context(), records, seen)
		if err != nil {
			t.Fatal(err)
		}
		var out []bool
		for _, r := range results {
			out = append(out, r.Moved)
		}
		return out
	}
	for _, id := range []string{"c-1", "c-2", "c-3"} {
		says(id, func(*v1alpha1.CustomerConsentSpec) {})
	}
	before := proof()
	says("c-1", optedOut)
	if err := door.Erase(t.Context(), "test", "c-3"); err != nil {
		t.Fatal(err)
	}
	refused := record("c-1", before, contacts.Refused)
	refused.Reasons = []string{v1alpha1.CodeNoConsent}
	got := moved(record("c-1", before, contacts.Released), record("c-2", before, contacts.Released), record("c-3", before, contacts.Released))
	if want := []bool{true, false, true}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("decided before a withdrawal, nothing, and an erasure: moved %v, want %v", got, want)
	}
	if got := moved(refused); got[0] {
		t.Error("a refusal is no contact, and was not recorded")
	}
	if got := moved(record("c-1", proof(), contacts.Released)); got[0] {
		t.Error("decided on the latest, and not recorded")
	}
	if got := moved(record("c-2", "cr-12345678-9", contacts.Released)); !got[0] {
		t.Error("decided on another store's consents, and recorded")
	}
}

func TestALedgerElsewhereKnowsNoConsents(t *testing.T) {
	people := openTable(t, postgres.Place(t))
	if err := openLedger(t, postgres.Place(t)).Require(t.Context(), people); !errors.Is(err, ledger.ErrElsewhere) {
		t.Errorf("no consents: %v", err)
	}
	other := postgres.Place(t)
	openTable(t, other)
	if err := openLedger(t, other).Require(t.Context(), people); !errors.Is(err, consentstore.ErrReplaced) {
		t.Errorf("others' consents: %v", err)
	}
}

// TestOneHomeOfConsents: the first database that is reached is the one, and
// nothing else is from then on.
func TestOneHomeOfConsents(t *testing.T) {
	s, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	consent := func(name string) *v1alpha1.CustomerConsent {
		return &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.CustomersNamespace, Name: name}}
	}
	c := fake.NewClientBuilder().WithScheme(s).WithObjects(consent(v1alpha1.FenceName)).Build()
	h := home{read: c, write: c}
	is := func(what string, err error, because string) {
		t.Helper()
		if (err == nil) != (because == "") || err != nil && !strings.Contains(err.Error(), because) {
			t.Errorf("%s: got %v, want %q", what, err, because)
		}
	}
	is("custom resources, at first", h.isCluster(t.Context()), "")
	is("a database", h.isTable(t.Context(), "A"), "")
	is("the same again", h.isTable(t.Context(), "A"), "")
	is("another one", h.isTable(t.Context(), "B"), "keeps its consents in postgresql/A")
	is("custom resources", h.isCluster(t.Context()), "start with --consents")
	if err := c.Create(t.Context(), consent("c-1")); err != nil {
		t.Fatal(err)
	}
	is("the database, with somebody beside it", h.isTable(t.Context(), "A"), "some are custom resources")
}

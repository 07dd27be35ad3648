package ledger

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/internal/contacts"
)

func FuzzDecode(f *testing.F) {
	sequence := []byte{0, 0, 0, 0, 0, 0, 0, 7}
	r := Record{
		Sequence: 7, Key: "k", At: time.Date(2026, 3, 2, 12, 0, 0, 5, time.UTC), Principal: "c-1", Brand: "acme",
		Event: contacts.Sent, Channel: "Email", Class: "Marketing", Campaign: contacts.Campaign{Namespace: "n", Name: "m", UID: "u", Generation: 2},
	}
	f.Add(encode(&r), false)
	f.Add(seal(encode(&r), sequence), true)
	f.Add([]byte{recordVersion}, false)
	f.Add([]byte{recordVersion, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, false)
	f.Fuzz(func(t *testing.T, stored []byte, sealed bool) {
		if !sealed {
			stored = seal(bytes.Clone(stored), sequence)
		}
		got, err := decode(stored, sequence)
		if err != nil {
			return
		}
		// What can be read says the same when it is written again.
		again, err := decode(seal(encode(&got), sequence), sequence)
		if err != nil {
			t.Fatalf("written again: %v", err)
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Errorf("written again (-was +is):\n%s", diff)
		}
	})
}

func TestARecordInAnothersPlaceIsDamage(t *testing.T) {
	r := Record{Key: "k", At: time.Unix(0, 0).UTC()}
	stored := seal(encode(&r), []byte{0, 0, 0, 0, 0, 0, 0, 7})
	if _, err := decode(stored, []byte{0, 0, 0, 0, 0, 0, 0, 8}); err == nil {
		t.Error("the record of sequence 7 was read as that of 8")
	}
}

// TestCommitsAreSynced guards the promise that no test in one process can see
// broken: a kill leaves the page cache alone.
func TestCommitsAreSynced(t *testing.T) {
	f, err := Open(filepath.Join(t.TempDir(), "contacts.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if f.db.NoSync || f.db.NoGrowSync {
		t.Error("the file is not synced at each commit")
	}
}

// TestReadersSeeNothingThatIsNotSynced reads while a commit is in the file but
// not known to be on the disk.
func TestReadersSeeNothingThatIsNotSynced(t *testing.T) {
	f, err := Open(filepath.Join(t.TempDir(), "contacts.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	f.clock = func() time.Time { return at }
	var records []Record
	for _, key := range []string{"a", "b", "c"} {
		records = append(records, Record{Key: key, Principal: "c-1", At: at, Brand: "acme", Event: contacts.Sent, Class: "Marketing", Channel: "Email"})
	}
	if _, err := f.Append(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.sequence = 2
	f.mu.Unlock()
	page, err := f.After(t.Context(), 0, 10)
	if err != nil || len(page.Records) != 2 || page.Sequence != 2 {
		t.Errorf("After: %d records up to %d, %v; want 2", len(page.Records), page.Sequence, err)
	}
	if got, err := f.ByPrincipal(t.Context(), "c-1", time.Time{}, 10); err != nil || len(got) != 2 {
		t.Errorf("ByPrincipal: %d records, %v; want 2", len(got), err)
	}
	if n, err := f.Count(t.Context(), "c-1", CountQuery{}); err != nil || n != 2 {
		t.Errorf("Count: %d, %v; want 2", n, err)
	}
}

package gate

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/codb-dev/codb/internal/contacts"
)

// TestAppendSeen appends in several batches what was decided on the past as of
// a position.
func TestAppendSeen(t *testing.T) {
	h := newHouse(t)
	c := h.client()
	appendN(t, c, 0, 1)
	seen := contacts.Position{Ledger: h.ledger.ID(), Sequence: h.ledger.Sequence()}
	const moved = contacts.MaxBatch + 3
	if _, err := c.Append(t.Context(), []contacts.Record{sent(-1, fmt.Sprint("s-", moved))}); err != nil {
		t.Fatal(err)
	}
	var records []contacts.Record
	for i := range contacts.MaxBatch + 5 {
		records = append(records, sent(1000+i, fmt.Sprint("s-", i)))
	}
	for round := range 2 { // the second time the answer to the first got lost
		results, err := c.AppendSeen(t.Context(), records, seen)
		if err != nil || len(results) != len(records) {
			t.Fatalf("got %d results, %v", len(results), err)
		}
		for i, r := range results {
			if r.Moved != (i == moved) || r.Duplicate != (round == 1 && i != moved) {
				t.Fatalf("round %d, record %d: got %+v", round, i, r)
			}
		}
	}
	if h.ledger.Sequence() != uint64(len(records)+1) {
		t.Errorf("the ledger is at %d, want all but one appended", h.ledger.Sequence())
	}
	seen.Ledger = "another"
	var p *Problem
	if _, err := c.AppendSeen(t.Context(), records[moved:], seen); !errors.As(err, &p) || p.Status != http.StatusUnprocessableEntity || p.Field != "ledger" {
		t.Errorf("seen in another ledger: got %v, want it refused", err)
	}
}

func TestOfSeveralSequencesSeenOfACustomerTheLeastCounts(t *testing.T) {
	r := appendRequest{Records: []contacts.Record{sent(1, "c-1"), sent(2, "c-2"), sent(3, "c-1")}, Seen: []uint64{7, 9, 5}}
	if got := r.bySeen(); len(got) != 2 || got["c-1"] != 5 || got["c-2"] != 9 {
		t.Errorf("got %v", got)
	}
}

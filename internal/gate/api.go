// Package gate is the door to the contact ledger: an HTTPS API for the
// cluster's own identities, and the client that the operator reads it with. It
// says who may ask, never who may be contacted, and does not know how records
// are kept.
package gate

import "github.com/codb-dev/codb/internal/contacts"

// Audience is what a token must be made for to be taken by the gate.
const Audience = "codb-gate"

// appendRequest is the body of POST /v1/contacts.
type appendRequest struct {
	Records []contacts.Record `json:"records"`
	// Ledger and Seen make it an append of what was decided on customers' past:
	// the ledger that the sequences are of, and for each record one up to which the
	// caller knows all of its customer's records.
	Ledger string   `json:"ledger,omitempty"`
	Seen   []uint64 `json:"seen,omitempty"`
}

// bySeen are the sequences by customer; of several the least.
func (r *appendRequest) bySeen() map[string]uint64 {
	seen := map[string]uint64{}
	for i := range r.Records {
		id := r.Records[i].Principal
		if n, ok := seen[id]; !ok || r.Seen[i] < n {
			seen[id] = r.Seen[i]
		}
	}
	return seen
}

// appendResponse answers it, a result for each record, in order.
type appendResponse struct {
	Ledger  string            `json:"ledger"`
	Results []contacts.Result `json:"results"`
}

// principalResponse answers GET /v1/contacts/{principal}, the newest first.
type principalResponse struct {
	Ledger   string            `json:"ledger"`
	Sequence uint64            `json:"sequence"`
	Records  []contacts.Record `json:"records"`
}

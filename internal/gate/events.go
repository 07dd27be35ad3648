package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
)

// eventsRequest is the body of POST /v1/events.
type eventsRequest struct {
	Events []event `json:"events"`
}

// event is what another system saw a customer do.
type event struct {
	// Key tells one event of a brand from another, however often it is sent.
	Key       string           `json:"key"`
	Type      contacts.Event   `json:"type"`
	Principal string           `json:"principal"`
	Brand     string           `json:"brand"`
	At        time.Time        `json:"at"`
	Channel   v1alpha1.Channel `json:"channel,omitempty"`
}

// reportable are the events that others may report: what policies know of a
// customer besides contacts, which are the gate's own to write.
var reportable = []contacts.Event{contacts.Purchase, contacts.Inquiry, contacts.Complaint, contacts.HardBounce, contacts.Unsubscribe}

// oldest is how far back an event may lie: as far as policies look.
const oldest = contacts.LookBack

// events is POST /v1/events.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	var req eventsRequest
	if err := s.permitBody(w, r, &req); err != nil {
		return err
	}
	if err := bounded("events", len(req.Events)); err != nil {
		return err
	}
	records, err := req.records(s.clock())
	if err != nil {
		return err
	}
	asked := map[string]bool{}
	for i := range records {
		if brand := records[i].Brand; !asked[brand] {
			asked[brand] = true
			if err := s.admit("POST /v1/events", r, Access{Verb: v1alpha1.VerbReport, Brand: brand}); err != nil {
				return err
			}
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTime/2)
	defer cancel()
	free, err := s.slot(ctx, s.appends)
	if err != nil {
		return err
	}
	defer free()
	results, err := s.ledger.Append(ctx, records)
	if err != nil {
		return inEvents(err)
	}
	return answer(w, appendResponse{Ledger: s.ledger.ID(), Results: results})
}

// records are what the ledger is told. Its keys are all codb's, so that nobody
// can take one that a permit or a run will need.
func (q *eventsRequest) records(now time.Time) ([]contacts.Record, error) {
	out := make([]contacts.Record, len(q.Events))
	for i := range q.Events {
		e := &q.Events[i]
		switch {
		case !slices.Contains(reportable, e.Type):
			return nil, invalid(fmt.Sprintf("events[%d].type", i), shorten(string(e.Type)), "one of "+words(reportable))
		case !e.At.IsZero() && e.At.Before(now.Add(-oldest)):
			return nil, invalid(fmt.Sprintf("events[%d].at", i), e.At.UTC().Format(time.RFC3339), "not more than three years ago: no policy looks back further; write what the customer wants now into their consent")
		}
		out[i] = contacts.Record{Key: e.Key, At: e.At.UTC(), Principal: e.Principal, Brand: e.Brand, Channel: e.Channel, Event: e.Type}
	}
	if err := contacts.Validate(out, now); err != nil {
		return nil, inEvents(err)
	}
	for i := range out {
		sum := sha256.Sum256([]byte(out[i].Brand + " " + out[i].Key))
		out[i].Key = "event/" + hex.EncodeToString(sum[:])
	}
	return out, nil
}

func words(events []contacts.Event) string {
	out := make([]string, len(events))
	for i, e := range events {
		out[i] = string(e)
	}
	return strings.Join(out, ", ")
}

// inEvents names the field as the caller wrote it.
func inEvents(err error) error {
	p := problem(err)
	if p.Field == "" {
		return err
	}
	p.Field = strings.Replace(p.Field, "records[", "events[", 1)
	return p
}

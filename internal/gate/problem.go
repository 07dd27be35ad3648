package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/codb-dev/codb/internal/contacts"
)

// Problem is an error as the API tells it (RFC 9457). It never holds a
// principal, a key or a token.
type Problem struct {
	// Type identifies the kind of problem; see the constants.
	Type string `json:"type"`
	// Title says it in words, the same for all problems of the type.
	Title string `json:"title"`
	// Status of the HTTP response.
	Status int `json:"status"`
	// Detail says what happened this time.
	Detail string `json:"detail,omitempty"`
	// Field that was refused, for example records[3].channel.
	Field string `json:"field,omitempty"`
	// Value of the field, where it may be repeated.
	Value string `json:"value,omitempty"`
	// Remedy says what to do.
	Remedy string `json:"remedy,omitempty"`
}

// The types of problems.
const (
	ProblemInvalid         = "urn:codb:problem:invalid"
	ProblemTooLarge        = "urn:codb:problem:too-large"
	ProblemConflict        = "urn:codb:problem:conflict"
	ProblemUnauthenticated = "urn:codb:problem:unauthenticated"
	ProblemForbidden       = "urn:codb:problem:forbidden"
	ProblemNoSuchRoute     = "urn:codb:problem:no-such-route"
	ProblemMediaType       = "urn:codb:problem:media-type"
	ProblemBusy            = "urn:codb:problem:busy"
	ProblemUnavailable     = "urn:codb:problem:unavailable"
	ProblemFull            = "urn:codb:problem:full"
)

func (p *Problem) Error() string {
	s := fmt.Sprintf("%s (HTTP %d)", p.Title, p.Status)
	for _, part := range []struct{ name, value string }{{"", p.Detail}, {"field ", p.Field}, {"value ", p.Value}, {"", p.Remedy}} {
		if part.value != "" {
			s += ": " + part.name + part.value
		}
	}
	return s
}

// Is tells the ledger's errors apart on the client's side too.
func (p *Problem) Is(target error) bool {
	return p.Type == ProblemConflict && target == contacts.ErrConflict ||
		p.Type == ProblemFull && target == contacts.ErrFull
}

// temporary says whether the same request may succeed soon.
func (p *Problem) temporary() bool {
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func invalid(field, value, remedy string) *Problem {
	return &Problem{Type: ProblemInvalid, Title: "The request is not valid", Status: http.StatusUnprocessableEntity, Field: field, Value: value, Remedy: remedy}
}

func unavailable(detail, remedy string) *Problem {
	return &Problem{Type: ProblemUnavailable, Title: "The gate can't answer now", Status: http.StatusServiceUnavailable, Detail: detail, Remedy: remedy}
}

// outage is the problem of a store that does not answer.
func outage(of error) *Problem {
	return unavailable(of.Error(), "nobody is contacted until it does: see to what keeps it, a database or the apiserver; the same request may be sent again")
}

// problem turns an error of the ledger into what the caller may know of it.
func problem(err error) *Problem {
	var (
		p        *Problem
		field    *contacts.FieldError
		conflict *contacts.ConflictError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &field):
		return invalid(field.Field, field.Value, field.Remedy)
	case errors.As(err, &conflict):
		return &Problem{
			Type: ProblemConflict, Title: "The key belongs to another record", Status: http.StatusConflict,
			Field:  fmt.Sprintf("records[%d].key", conflict.Index),
			Detail: fmt.Sprintf("sequence %d has the key", conflict.Sequence),
			Remedy: "derive the key from what happened, or send the same record again",
		}
	case errors.Is(err, contacts.ErrFull):
		return &Problem{Type: ProblemFull, Title: "The ledger is full", Status: http.StatusInsufficientStorage, Remedy: "give the ledger's volume more room, and raise the gate's limit if it has one"}
	}
	if errors.Is(err, contacts.ErrUnavailable) {
		return outage(contacts.ErrUnavailable)
	}
	return unavailable("the ledger refused", "see the gate's log; the same request may be sent again")
}

func (p *Problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	if p.temporary() {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client has gone: nobody is left to tell
}

package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	kjson "sigs.k8s.io/json"

	"github.com/codb-dev/codb/internal/contacts"
)

// appendContacts is POST /v1/contacts.
func (s *Server) appendContacts(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), requestTime/2)
	defer cancel()
	select {
	case s.appends <- struct{}{}:
		defer func() { <-s.appends }()
	case <-ctx.Done():
		return &Problem{Type: ProblemBusy, Title: "Too many appends at once", Status: http.StatusServiceUnavailable, Remedy: "send the same request again, later"}
	}
	if _, err := parameters(r); err != nil {
		return err
	}
	var req appendRequest
	if err := readBody(r, &req); err != nil {
		return err
	}
	if len(req.Records) == 0 {
		return invalid("records", "", "send at least one")
	}
	for i := range req.Records {
		r := &req.Records[i]
		if r.Permit != "" || r.Event == contacts.Refused || r.Event == contacts.Held {
			return invalid(fmt.Sprintf("records[%d].permit", i), "", "leave permits, Refused and Held out: the gate alone writes them")
		}
		if r.Event == contacts.Restored || r.Event == contacts.Vouched {
			return invalid(fmt.Sprintf("records[%d].event", i), string(r.Event), "leave it out: codb ledger alone writes it")
		}
	}
	results, err := s.append(ctx, &req)
	if err != nil {
		return err
	}
	return answer(w, appendResponse{Ledger: s.ledger.ID(), Results: results})
}

func (s *Server) append(ctx context.Context, req *appendRequest) ([]contacts.Result, error) {
	switch {
	case req.Ledger == "" && len(req.Seen) == 0:
		return s.ledger.Append(ctx, req.Records)
	case len(req.Seen) != len(req.Records):
		return nil, invalid("seen", "", "one sequence for each record, or none and no ledger")
	case req.Ledger != s.ledger.ID():
		return nil, invalid("ledger", shorten(req.Ledger), "read this gate's ledger from the beginning: what was seen is another's")
	}
	return s.ledger.AppendIf(ctx, req.Records, req.bySeen())
}

// feed is GET /v1/contacts: what follows a sequence, when there is something.
func (s *Server) feed(w http.ResponseWriter, r *http.Request) error {
	p, err := parameters(r, "after", "limit", "wait")
	if err != nil {
		return err
	}
	after, err := p.number("after", 0)
	if err != nil {
		return err
	}
	limit, err := p.limit()
	if err != nil {
		return err
	}
	wait, err := p.duration("wait", maxWait)
	if err != nil {
		return err
	}
	// Whoever is ahead of the ledger has the wrong one, and must hear it now.
	if wait > 0 && s.ledger.Sequence() == after {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(wait + requestTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		s.wait(r.Context(), after, wait)
	}
	page, err := s.ledger.After(r.Context(), after, limit)
	if err != nil {
		return err
	}
	return answer(w, page)
}

// wait returns when there is news, when the time is over, or when the gate goes
// away. Why it returned shows in what the ledger answers next.
func (s *Server) wait(ctx context.Context, after uint64, wait time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	go func() {
		select {
		case <-s.draining:
			cancel()
		case <-ctx.Done():
		}
	}()
	_ = s.ledger.Wait(ctx, after) // a broken ledger says so when it is read
}

var principalName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ofPrincipal is GET /v1/contacts/{principal}.
func (s *Server) ofPrincipal(w http.ResponseWriter, r *http.Request) error {
	principal := r.PathValue("principal")
	if !principalName.MatchString(principal) {
		return invalid("principal", "", "the name of a CustomerConsent: at most 63 of a-z, 0-9 and -")
	}
	p, err := parameters(r, "since", "limit")
	if err != nil {
		return err
	}
	since, err := p.time("since")
	if err != nil {
		return err
	}
	limit, err := p.limit()
	if err != nil {
		return err
	}
	out := principalResponse{Ledger: s.ledger.ID(), Sequence: s.ledger.Sequence()}
	if out.Records, err = s.ledger.ByPrincipal(r.Context(), principal, since, limit); err != nil {
		return err
	}
	return answer(w, out)
}

// healthz is well while the ledger can be read: a ledger whose write failed
// can't, and the gate must be restarted then.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.ledger.After(r.Context(), s.ledger.Sequence(), 0); err != nil {
		return err
	}
	return answer(w, map[string]string{"status": "ok"})
}

// readyz is well until the gate goes away.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) error {
	select {
	case <-s.draining:
		return unavailable("the gate is going away", "ask again; another will answer")
	default:
		return s.healthz(w, r)
	}
}

func readBody(r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &Problem{Type: ProblemMediaType, Title: "Not JSON", Status: http.StatusUnsupportedMediaType, Remedy: "send application/json"}
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return &Problem{Type: ProblemTooLarge, Title: "The request is too large", Status: http.StatusRequestEntityTooLarge, Field: "body", Remedy: "send at most " + strconv.Itoa(maxBody) + " bytes at once"}
		}
		return invalid("body", "", "send all of it")
	}
	return strictly(data, into)
}

// strictly reads one JSON object that has known fields only, each once.
func strictly(data []byte, into any) error {
	strict, err := kjson.UnmarshalStrict(data, into)
	if err == nil && len(strict) > 0 {
		err = strict[0] // names an unknown or repeated field, by its path
	}
	if err == nil {
		return nil
	}
	p := invalid("body", "", "one JSON object as docs/gate-openapi.yaml describes it")
	p.Status = http.StatusBadRequest
	// Only what can't contain a value: a principal must not come back.
	var (
		field kjson.FieldError
		kind  *json.UnmarshalTypeError
		when  *time.ParseError
	)
	if syntax, offset := kjson.SyntaxErrorOffset(err); syntax {
		p.Detail = "the JSON ends or breaks at byte " + strconv.FormatInt(offset, 10)
	} else if errors.As(err, &field) && fieldPath.MatchString(field.FieldPath()) {
		p.Field, p.Detail = field.FieldPath(), "the field is unknown or given twice"
	} else if errors.As(err, &kind) {
		p.Field, p.Detail = kind.Field, "the field has another type"
	} else if errors.As(err, &when) {
		p.Detail = "a time is not as in RFC 3339"
	}
	return p
}

var fieldPath = regexp.MustCompile(`^[A-Za-z0-9.\[\]]{1,128}$`)

// query holds the parameters of a request, each given at most once.
type query url.Values

func parameters(r *http.Request, known ...string) (query, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("query", "", "a well-formed query")
	}
	for name, values := range q {
		if !slices.Contains(known, name) {
			return nil, invalid("query", "", "only the parameters of this route, see docs/gate-openapi.yaml")
		}
		if len(values) != 1 {
			return nil, invalid(name, "", "give it once")
		}
	}
	return query(q), nil
}

func (q query) number(name string, otherwise uint64) (uint64, error) {
	v := url.Values(q).Get(name)
	if v == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil {
		return 0, invalid(name, shorten(v), "a whole number, 0 or more")
	}
	return n, nil
}

func (q query) limit() (int, error) {
	n, err := q.number("limit", contacts.MaxBatch)
	if err != nil || n > contacts.MaxBatch {
		return 0, invalid("limit", shorten(url.Values(q).Get("limit")), "a whole number from 0 to "+strconv.Itoa(contacts.MaxBatch))
	}
	return int(n), nil
}

func (q query) duration(name string, most time.Duration) (time.Duration, error) {
	v := url.Values(q).Get(name)
	if v == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 || d > most {
		return 0, invalid(name, shorten(v), "a duration from 0s to "+most.String())
	}
	return d, nil
}

func (q query) time(name string) (time.Time, error) {
	v := url.Values(q).Get(name)
	if v == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return time.Time{}, invalid(name, shorten(v), "a time as in RFC 3339")
	}
	return t, nil
}

func shorten(s string) string {
	if len(s) > 64 {
		return s[:64]
	}
	return s
}

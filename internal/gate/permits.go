package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/permit"
)

const (
	// maxPermits is how many permits one request is about.
	maxPermits = 1000
	// maxPermitBody is what 1,000 reports with details may take.
	maxPermitBody = 512 << 10
	// maxDraws is how many draws may wait at once, maxRedeems how many other
	// requests about permits are answered at once.
	maxDraws, maxRedeems = 1024, 32
	// decideTime is what one decision may take, waiting for customers not
	// counted: after it the world is not the one that was proven.
	decideTime = 15 * time.Second
)

type drawRequest struct {
	Max  int    `json:"max"`
	Wait string `json:"wait,omitempty"`
}

type redeemRequest struct {
	Permits []string `json:"permits"`
}

type redeemResponse struct {
	Results []Redeemed `json:"results"`
}

type reportRequest struct {
	Outcomes []Outcome `json:"outcomes"`
}

type reportResponse struct {
	Results []Reported `json:"results"`
}

// check says how long to wait.
func (q *drawRequest) check() (time.Duration, error) {
	if q.Max < 1 || q.Max > maxPermits {
		return 0, invalid("max", fmt.Sprint(q.Max), fmt.Sprintf("a whole number from 1 to %d", maxPermits))
	}
	wait, err := time.ParseDuration(cmp.Or(q.Wait, "0s"))
	if err != nil || wait < 0 || wait > maxWait {
		return 0, invalid("wait", shorten(q.Wait), "a duration from 0s to "+maxWait.String())
	}
	return wait, nil
}

// draw is POST /v1/permits/draw.
func (s *Server) draw(w http.ResponseWriter, r *http.Request, h Holder) error {
	var req drawRequest
	if err := s.permitBody(w, r, &req); err != nil {
		return err
	}
	wait, err := req.check()
	if err != nil {
		return err
	}
	err = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(wait + requestTime))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	out, err := s.drawn(r.Context(), h, &req)
	if err != nil {
		return err
	}
	if r.Context().Err() != nil { // nobody is left to hear it
		return s.unheard(r.Context(), out)
	}
	return answer(w, out)
}

func (s *Server) drawn(ctx context.Context, h Holder, req *drawRequest) (*Drawn, error) {
	wait, err := req.check()
	if err != nil {
		return nil, err
	}
	free, err := s.slot(ctx, s.draws)
	if err != nil {
		return nil, err
	}
	defer free()
	ctx, cancel := context.WithTimeout(ctx, wait+decideTime)
	defer cancel()
	out, err := s.desk.Draw(ctx, h, req.Max, wait, s.draining)
	if err != nil {
		return nil, s.permitProblem(err, h)
	}
	return out, nil
}

// unheard takes back what was drawn for somebody who has gone.
func (s *Server) unheard(ctx context.Context, out *Drawn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), decideTime)
	defer cancel()
	return s.desk.Return(ctx, out.Permits)
}

// redeem is POST /v1/permits/redeem.
func (s *Server) redeem(w http.ResponseWriter, r *http.Request, h Holder) error {
	var req redeemRequest
	if err := s.permitBody(w, r, &req); err != nil {
		return err
	}
	out, err := s.redeemed(r.Context(), h, &req)
	if err != nil {
		return err
	}
	return answer(w, out)
}

func (s *Server) redeemed(ctx context.Context, h Holder, req *redeemRequest) (*redeemResponse, error) {
	if err := bounded("permits", len(req.Permits)); err != nil {
		return nil, err
	}
	out := &redeemResponse{}
	return out, s.inTime(ctx, h, func(ctx context.Context) (err error) {
		out.Results, err = s.desk.Redeem(ctx, h, req.Permits)
		return err
	})
}

var detail = regexp.MustCompile(`^[\x20-\x3F\x41-\x7E]{0,128}$`)

// report is POST /v1/permits/report.
func (s *Server) report(w http.ResponseWriter, r *http.Request, h Holder) error {
	var req reportRequest
	if err := s.permitBody(w, r, &req); err != nil {
		return err
	}
	out, err := s.reported(r.Context(), h, &req)
	if err != nil {
		return err
	}
	return answer(w, out)
}

func (s *Server) reported(ctx context.Context, h Holder, req *reportRequest) (*reportResponse, error) {
	if err := bounded("outcomes", len(req.Outcomes)); err != nil {
		return nil, err
	}
	for i := range req.Outcomes {
		o := &req.Outcomes[i]
		if !slices.Contains(permit.Outcomes(), o.Outcome) {
			return nil, invalid(fmt.Sprintf("outcomes[%d].outcome", i), shorten(o.Outcome), "one of "+strings.Join(permit.Outcomes(), ", "))
		}
		if !detail.MatchString(o.Detail) {
			return nil, invalid(fmt.Sprintf("outcomes[%d].detail", i), "", "at most 128 characters of ASCII, and no address")
		}
	}
	out := &reportResponse{}
	return out, s.inTime(ctx, h, func(ctx context.Context) (err error) {
		out.Results, err = s.desk.Report(ctx, h, req.Outcomes)
		return err
	})
}

// inTime has the desk decide when there is room for it, and not for longer than
// a caller waits.
func (s *Server) inTime(ctx context.Context, h Holder, decide func(context.Context) error) error {
	free, err := s.slot(ctx, s.redeems)
	if err != nil {
		return err
	}
	defer free()
	ctx, cancel := context.WithTimeout(ctx, decideTime)
	defer cancel()
	if err := decide(ctx); err != nil {
		return s.permitProblem(err, h)
	}
	return nil
}

func bounded(field string, n int) error {
	if n < 1 || n > maxPermits {
		return invalid(field, fmt.Sprint(n), fmt.Sprintf("1 to %d at once", maxPermits))
	}
	return nil
}

func (s *Server) permitBody(w http.ResponseWriter, r *http.Request, into any) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxPermitBody)
	if _, err := parameters(r); err != nil {
		return err
	}
	return readBody(r, into)
}

// slot waits a while for one of the free places.
func (s *Server) slot(ctx context.Context, places chan struct{}) (free func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime/4)
	defer cancel()
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, s.busy()
	}
}

// busy says why it takes so long: that a store does not answer, where that is
// known.
func (s *Server) busy() error {
	if s.desk != nil {
		if why := s.desk.away.why(); why != nil {
			return outage(why)
		}
	}
	return &Problem{Type: ProblemBusy, Title: "Too many requests at once", Status: http.StatusServiceUnavailable, Remedy: "send the same request again, later"}
}

// permitProblem says what a pod may know of a failure; what else there is to it
// is in the log.
func (s *Server) permitProblem(err error, h Holder) error {
	switch {
	case errors.Is(err, ErrForbidden):
		return s.refused(err, "user", unnamed(h.User), "namespace", h.Campaign.Namespace, "campaign", h.Campaign.Name, "job", h.Job, "pod", h.Pod)
	case errors.Is(err, contacts.ErrFull), errors.Is(err, contacts.ErrUnavailable):
		return err
	case errors.Is(err, ErrConsents):
		s.log.Error(err, "permits can't be given", "namespace", h.Campaign.Namespace, "campaign", h.Campaign.Name)
		return outage(ErrConsents)
	case !errors.Is(err, errUnproven) && (errors.Is(err, errBusy) || errors.Is(err, context.DeadlineExceeded)):
		return s.busy()
	case errors.Is(err, contacts.ErrWentBack):
		return unavailable(err.Error(), "nobody is contacted: bring the withdrawals since the backup back, and restore with etcdutl's --bump-revision")
	case errors.Is(err, contacts.ErrGap):
		return unavailable(err.Error(), "nobody is contacted until somebody vouches for what happened meanwhile; send the same request again then")
	}
	s.log.Error(err, "permits can't be given", "namespace", h.Campaign.Namespace, "campaign", h.Campaign.Name)
	return unavailable("nobody knows for sure who may be contacted now", "send the same request again; nobody is contacted until then")
}

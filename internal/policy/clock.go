package policy

import (
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
)

// Instants that policies see are nanoseconds, which reach from 1677 to 2262. A
// clock that is beyond is wrong, and whoever it asks about is denied: what ends and
// what has begun can't be told.
var (
	firstYear = time.Date(1678, time.January, 1, 0, 0, 0, 0, time.UTC)
	lastYear  = time.Date(2262, time.January, 1, 0, 0, 0, 0, time.UTC)
)

// offClock denies everyone where a question's instant is none that policies could
// see; ok is false where it is one.
func offClock(q *decision.Question) (answers []decision.Answer, ok bool) {
	if !q.Now.Before(firstYear) && q.Now.Before(lastYear) {
		return nil, false
	}
	out := make([]decision.Answer, len(q.Subjects))
	for i := range out {
		out[i] = decision.Answer{StaleAt: q.Now.UTC().Add(again), Reasons: []decision.Reason{{
			Code: v1alpha1.CodeEvaluationFailed, Verdict: v1alpha1.VerdictDeny, Policy: FloorName, Rule: "validity", Mode: v1alpha1.ModeEnforce,
			Message: "the clock is before 1678 or after 2261: set it right",
		}}}
	}
	return out, true
}

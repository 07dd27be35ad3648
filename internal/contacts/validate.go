package contacts

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Skew is how far a record may lie in the future of the ledger's clock.
const Skew = time.Minute

// MaxBatch is how many records one append takes.
const MaxBatch = 1000

// FieldError refuses a record. It never holds a principal or a key.
type FieldError struct {
	// Field by its JSON name, for example records[3].channel.
	Field string
	// Value as given; empty where the field is absent or must not be repeated.
	Value string
	// Remedy says what the field takes.
	Remedy string
}

func (e *FieldError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s: %s", e.Field, e.Remedy)
	}
	return fmt.Sprintf("%s: %q: %s", e.Field, e.Value, e.Remedy)
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("records[%d].key: %v (sequence %d); derive the key from what happened, or send the same record again", e.Index, ErrConflict, e.Sequence)
}

// Is makes a ConflictError an ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

var (
	events = []Event{
		Sent, Released, HardBounce, Complaint, Unsubscribe, Purchase, Inquiry,
		Drawn, Redeemed, Expired, Voided, Returned, Refused, Held, Failed, SoftBounce, Converted, Replied,
		Restored, Vouched,
	}
	// classes and channels are the API's enumerations; its schema is checked
	// against them by a test.
	classes  = []v1alpha1.PurposeClass{v1alpha1.ClassMarketing, v1alpha1.ClassService}
	channels = []v1alpha1.Channel{
		v1alpha1.ChannelEmail, v1alpha1.ChannelSMS, v1alpha1.ChannelPhone, v1alpha1.ChannelPost,
		v1alpha1.ChannelPush, v1alpha1.ChannelInApp, v1alpha1.ChannelSocial, v1alpha1.ChannelWeb,
	}

	earliest = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Validate checks records before they are appended at now. What it takes can
// be stored, counted and read back without loss.
func Validate(records []Record, now time.Time) error {
	if len(records) > MaxBatch {
		return &FieldError{Field: "records", Value: fmt.Sprint(len(records)), Remedy: fmt.Sprintf("append at most %d at once", MaxBatch)}
	}
	for i := range records {
		if e := validate(&records[i], now); e != nil {
			e.Field = fmt.Sprintf("records[%d].%s", i, e.Field)
			return e
		}
	}
	return nil
}

func validate(r *Record, now time.Time) *FieldError {
	if r.Sequence != 0 {
		return &FieldError{"sequence", fmt.Sprint(r.Sequence), "leave it out: the ledger assigns it"}
	}
	for _, check := range []func() *FieldError{
		func() *FieldError { return secret("key", r.Key, token, 128, "1 to 128 of A-Z, a-z, 0-9 and ._:/=-") },
		func() *FieldError {
			return secret("principal", r.Principal, dnsLabel, 63, "the name of a CustomerConsent: at most 63 of a-z, 0-9 and -")
		},
		func() *FieldError { return instant(r.At, now) },
		func() *FieldError { return oneOf("event", r.Event, events) },
		func() *FieldError {
			return secret("detail", cmp.Or(r.Detail, "-"), detail, 128, "at most 128 characters of ASCII, and no address")
		},
	} {
		if e := check(); e != nil {
			return e
		}
	}
	if r.Event == Restored || r.Event == Vouched {
		return ofLedger(r)
	}
	return ofCustomer(r)
}

func ofCustomer(r *Record) *FieldError {
	for _, check := range []func() *FieldError{
		func() *FieldError { return matches("brand", r.Brand, dnsLabel, "the name of a Brand") },
		func() *FieldError {
			return optional("purpose", r.Purpose, term, 63, "at most 63 letters and digits, beginning with a capital")
		},
		func() *FieldError {
			return optional("topic", r.Topic, term, 63, "at most 63 letters and digits, beginning with a capital")
		},
		func() *FieldError { return classAndChannel(r) },
		func() *FieldError { return campaign(r.Campaign) },
		func() *FieldError { return permit(r) },
		func() *FieldError {
			return optional("policyDigest", r.PolicyDigest, digest, 71, "sha256: and 64 hexadecimal digits")
		},
		func() *FieldError {
			return optional("consentRevision", r.ConsentRevision, token, 128, "at most 128 of A-Z, a-z, 0-9 and ._:/=-")
		},
		func() *FieldError { return reasons(r.Reasons) },
		func() *FieldError { return optional("pod", r.Pod, token, 63, "the pod's metadata.uid") },
	} {
		if e := check(); e != nil {
			return e
		}
	}
	return nil
}

func instant(at, now time.Time) *FieldError {
	switch {
	case at.IsZero():
		return &FieldError{"at", "", "say when it happened, RFC 3339"}
	case at.Before(earliest) || !at.Before(latest):
		return &FieldError{"at", stamp(at), "a time from 1990 to 2199"}
	case at.After(now.Add(Skew)):
		return &FieldError{"at", stamp(at), "not in the future: check the clock of whoever reports it"}
	}
	return nil
}

// classAndChannel demands what a cap or a suppression would otherwise silently
// not count.
func classAndChannel(r *Record) *FieldError {
	if r.Contact() || r.Event == Drawn || r.Class != "" {
		if e := oneOf("class", r.Class, classes); e != nil {
			return e
		}
	}
	if r.Contact() || r.Event == Drawn || r.Event == HardBounce || r.Channel != "" {
		return oneOf("channel", r.Channel, channels)
	}
	return nil
}

func campaign(c Campaign) *FieldError {
	if c == (Campaign{}) {
		return nil
	}
	if e := matches("campaign.namespace", c.Namespace, dnsLabel, "the Campaign's namespace"); e != nil {
		return e
	}
	if e := matches("campaign.name", c.Name, dnsLabel, "the Campaign's name"); e != nil {
		return e
	}
	if c.UID == "" || len(c.UID) > 63 || !token(c.UID) {
		return &FieldError{"campaign.uid", clip(c.UID), "the Campaign's metadata.uid"}
	}
	if e := optional("campaign.job", c.Job, token, 63, "the Job's metadata.uid"); e != nil {
		return e
	}
	if c.Generation < 1 {
		return &FieldError{"campaign.generation", fmt.Sprint(c.Generation), "the Campaign's metadata.generation, 1 or more"}
	}
	return nil
}

// stateOf is where a permit stands after an event; every other event is an
// outcome that was reported.
var stateOf = map[Event]State{
	Drawn: StateDrawn, Redeemed: StateRedeemed, Expired: StateExpired,
	Voided: StateVoided, Returned: StateReleased, Refused: StateVoided,
}

// outcomes are what a sender may report of a permit.
var outcomes = []Event{Sent, Failed, SoftBounce, HardBounce, Complaint, Unsubscribe, Converted, Replied}

func permit(r *Record) *FieldError {
	if e := optional("permit", r.Permit, token, 64, "at most 64 of A-Z, a-z, 0-9 and ._:/=-"); e != nil {
		return e
	}
	want, moves := stateOf[r.Event]
	if r.Permit == "" {
		switch {
		case moves && r.Event != Refused:
			return &FieldError{"permit", "", "say which permit: " + string(r.Event) + " happens to permits only"}
		case r.State != "":
			return &FieldError{"state", clip(string(r.State)), "leave it out: only a permit has a state"}
		}
		return nil
	}
	if !moves && !slices.Contains(outcomes, r.Event) {
		return &FieldError{"permit", clip(r.Permit), "leave it out: " + string(r.Event) + " does not happen to permits"}
	}
	if !moves {
		want = StateReported
	}
	if e := oneOf("state", r.State, []State{want}); e != nil {
		return e
	}
	return ofRun(r)
}

// ofRun demands what a permit can't be found again without.
func ofRun(r *Record) *FieldError {
	switch {
	case r.Campaign.Job == "":
		return &FieldError{"campaign.job", "", "say whose permit it is: the Job's metadata.uid"}
	case (r.Event == Drawn || r.Event == Redeemed) && r.Until.IsZero():
		return &FieldError{"until", "", "say when the permit expires"}
	case r.Event == Drawn && r.Pod == "":
		return &FieldError{"pod", "", "say who holds the permit: the pod's metadata.uid"}
	case !r.Until.IsZero() && (r.Until.Before(earliest) || !r.Until.Before(latest)):
		return &FieldError{"until", stamp(r.Until), "a time from 1990 to 2199"}
	}
	return nil
}

// maxReasons is more than the codes that policies give one customer.
const maxReasons = 64

func reasons(codes []string) *FieldError {
	if len(codes) > maxReasons {
		return &FieldError{"reasons", fmt.Sprint(len(codes)), fmt.Sprintf("at most %d", maxReasons)}
	}
	for i, c := range codes {
		if e := matches(fmt.Sprintf("reasons[%d]", i), c, term, "a code, for example QuietHours"); e != nil {
			return e
		}
		if i > 0 && c <= codes[i-1] {
			return &FieldError{"reasons", clip(c), "sorted, each once"}
		}
	}
	return nil
}

func oneOf[T ~string](field string, v T, list []T) *FieldError {
	if slices.Contains(list, v) {
		return nil
	}
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = string(w)
	}
	return &FieldError{field, clip(string(v)), "one of " + strings.Join(words, ", ")}
}

func matches(field, v string, is word, remedy string) *FieldError {
	if is(v) {
		return nil
	}
	return &FieldError{field, clip(v), remedy}
}

func optional(field, v string, is word, most int, remedy string) *FieldError {
	if v == "" || (len(v) <= most && is(v)) {
		return nil
	}
	return &FieldError{field, clip(v), remedy}
}

// secret is like matches for what an error must not repeat.
func secret(field, v string, is word, most int, remedy string) *FieldError {
	if len(v) <= most && is(v) {
		return nil
	}
	return &FieldError{field, "", remedy}
}

func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

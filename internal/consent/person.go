// Package consent says what one customer agreed to at a given instant.
// It is pure: no clock, no client, no logger.
package consent

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Person is what policies may know about one customer with regard to one
// brand. It has no identifier, and of other brands it knows nothing but the
// customer's overall caps. Every instant is in nanoseconds since 1970 UTC, the
// unit of Rego's own time functions. Absent fields are absent in JSON, so that
// a policy sees "undefined" and not a zero.
type Person struct {
	OptOut         *Since        `json:"optOut,omitempty"`
	TimeZone       string        `json:"timeZone,omitempty"`
	TimeZoneSource string        `json:"timeZoneSource,omitempty"`
	Jurisdiction   string        `json:"jurisdiction,omitempty"`
	Language       string        `json:"language,omitempty"`
	BirthYear      *int32        `json:"birthYear,omitempty"`
	Guardian       *Guardian     `json:"guardian,omitempty"`
	LifeStage      string        `json:"lifeStage,omitempty"`
	Pause          *Span         `json:"pause,omitempty"`
	QuietHours     []Window      `json:"quietHours,omitempty"`
	ContactWindows []Window      `json:"contactWindows,omitempty"`
	Caps           []Cap         `json:"caps,omitempty"`
	BlockedTopics  []string      `json:"blockedTopics,omitempty"`
	LifeEvents     []LifeEvent   `json:"lifeEvents,omitempty"`
	Relationship   *Relationship `json:"relationship,omitempty"`
	// Bucket is 0..9999, stable for one customer in one campaign: the holdout
	// rule compares it with the campaign's share. See Bucket.
	Bucket int `json:"bucket"`
}

// Since is something that counts from an instant on.
type Since struct {
	Since int64 `json:"since"`
}

// Span is [From, Until).
type Span struct {
	From  int64 `json:"from"`
	Until int64 `json:"until"`
}

// Guardian is who answered for a minor; who it is, policies need not know.
type Guardian struct {
	AuthorizedAt *int64 `json:"authorizedAt,omitempty"`
}

// Window is a DailyWindow: minutes after midnight, End excluded. An End at or
// before Start lies on the next day; 1440 is midnight at the day's end.
type Window struct {
	Days  []string `json:"days"`
	Start int      `json:"start"`
	End   int      `json:"end"`
}

// Cap is a ceiling of the customer's own. Brand is set where it is about that
// brand's contacts only.
type Cap struct {
	Name     string   `json:"name"`
	Brand    string   `json:"brand,omitempty"`
	Max      int32    `json:"max"`
	Window   string   `json:"window"`
	Length   int64    `json:"length,omitempty"` // nanoseconds, Rolling only
	Zone     string   `json:"zone,omitempty"`   // calendar windows only
	Counts   []string `json:"counts"`
	Channels []string `json:"channels,omitempty"`
}

// LifeEvent is a declared change in the customer's life. Days are read as
// midnight UTC.
type LifeEvent struct {
	EventType      string `json:"eventType"`
	EventDate      int64  `json:"eventDate"`
	ExpirationDate *int64 `json:"expirationDate,omitempty"`
}

// Relationship is what the customer allows the campaign's brand.
type Relationship struct {
	Depth      string      `json:"depth"`
	Objections []Objection `json:"objections,omitempty"`
	Grants     []Grant     `json:"grants,omitempty"`
}

// Objection is a no to a purpose.
type Objection struct {
	Purpose string `json:"purpose"`
	Since   int64  `json:"since"`
}

// Grant is one answer. EffectiveFrom is always set: where the customer's
// record has none, it is CaptureDate.
type Grant struct {
	Purpose                  string     `json:"purpose"`
	Channel                  string     `json:"channel"`
	Topics                   []string   `json:"topics,omitempty"`
	Status                   string     `json:"status"`
	ConsentType              string     `json:"consentType"`
	LegalBasis               string     `json:"legalBasis"`
	CaptureDate              int64      `json:"captureDate"`
	CaptureSource            string     `json:"captureSource,omitempty"`
	DoubleConsentCaptureDate *int64     `json:"doubleConsentCaptureDate,omitempty"`
	EffectiveFrom            int64      `json:"effectiveFrom"`
	EffectiveTo              *int64     `json:"effectiveTo,omitempty"`
	ImpliedBy                *ImpliedBy `json:"impliedBy,omitempty"`
	NoticeVersion            string     `json:"noticeVersion,omitempty"`
}

// ImpliedBy is the act that an implied consent rests on.
type ImpliedBy struct {
	Event     string `json:"event"`
	EventDate int64  `json:"eventDate"`
}

// For projects a customer's record to what policies may know about it when
// brand asks. The record must have passed the CRD's validation; what it can't
// read (a date that is none) is left out, and absence refuses.
func For(spec *v1alpha1.CustomerConsentSpec, brand string) Person {
	p := Person{
		TimeZone:       string(spec.TimeZone),
		TimeZoneSource: spec.TimeZoneSource,
		Jurisdiction:   string(spec.Jurisdiction),
		Language:       string(spec.Language),
		BirthYear:      spec.BirthYear,
		LifeStage:      string(spec.LifeStage),
		QuietHours:     windows(spec.QuietHours),
		ContactWindows: windows(spec.ContactWindows),
		BlockedTopics:  words(spec.BlockedTopics),
		Caps:           caps(spec.Caps, ""),
		LifeEvents:     lifeEvents(spec.LifeEvents),
	}
	if spec.OptOut != nil {
		p.OptOut = &Since{Since: nano(spec.OptOut.Since)}
	}
	if spec.Guardian != nil {
		p.Guardian = &Guardian{AuthorizedAt: nanos(spec.Guardian.AuthorizedAt)}
	}
	if spec.Pause != nil {
		p.Pause = &Span{From: nano(spec.Pause.From), Until: nano(spec.Pause.Until)}
	}
	for i := range spec.Relationships {
		if r := &spec.Relationships[i]; r.Brand == brand {
			p.Relationship = relationship(r)
			p.Caps = append(p.Caps, caps(r.Caps, brand)...)
		}
	}
	return p
}

// Bucket places a principal in 0..9999 for one campaign, evenly and for good:
// a customer who is deleted and comes back under the same id keeps the place.
func Bucket(campaign, principal string) int { return MarkOf(campaign).Bucket(MarkOf(principal)) }

// Mark stands for a name wherever many are compared.
type Mark uint64

// MarkOf is the mark of a name; other names have others, as good as always.
func MarkOf(name string) Mark {
	sum := sha256.Sum256([]byte(name))
	return Mark(binary.BigEndian.Uint64(sum[:8]))
}

// Bucket is that of the principal in the campaign whose mark it is called on.
// What mixes the two is the end of MurmurHash3, which spreads every bit.
func (m Mark) Bucket(principal Mark) int {
	x := uint64(m ^ principal)
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return int((x ^ x>>33) % 10000)
}

func relationship(r *v1alpha1.Relationship) *Relationship {
	out := &Relationship{Depth: string(r.Depth)}
	if out.Depth == "" {
		out.Depth = string(v1alpha1.DepthBasic)
	}
	for _, o := range r.Objections {
		out.Objections = append(out.Objections, Objection{Purpose: string(o.Purpose), Since: nano(o.Since)})
	}
	for i := range r.Grants {
		out.Grants = append(out.Grants, grant(&r.Grants[i]))
	}
	return out
}

func grant(g *v1alpha1.Grant) Grant {
	out := Grant{
		Purpose:                  string(g.Purpose),
		Channel:                  string(g.Channel),
		Topics:                   words(g.Topics),
		Status:                   string(g.Status),
		ConsentType:              string(g.ConsentType),
		LegalBasis:               string(g.LegalBasis),
		CaptureDate:              nano(g.CaptureDate),
		CaptureSource:            g.CaptureSource,
		DoubleConsentCaptureDate: nanos(g.DoubleConsentCaptureDate),
		EffectiveFrom:            nano(g.CaptureDate),
		EffectiveTo:              nanos(g.EffectiveTo),
	}
	if out.ConsentType == "" {
		out.ConsentType = string(v1alpha1.ExpressedConsent)
	}
	if out.LegalBasis == "" {
		out.LegalBasis = string(v1alpha1.BasisConsent)
	}
	if g.EffectiveFrom != nil {
		out.EffectiveFrom = nano(*g.EffectiveFrom)
	}
	if g.ImpliedBy != nil {
		out.ImpliedBy = &ImpliedBy{Event: string(g.ImpliedBy.Event), EventDate: nano(g.ImpliedBy.EventDate)}
	}
	if g.PrivacyNotice != nil {
		out.NoticeVersion = g.PrivacyNotice.Version
	}
	return out
}

func caps(in []v1alpha1.FrequencyCap, brand string) []Cap {
	var out []Cap
	for _, c := range in {
		length, _ := time.ParseDuration(c.Length) // the schema admits whole hours only; empty is 0
		out = append(out, Cap{
			Name: c.Name, Brand: brand, Max: c.Max, Window: string(c.Window),
			Length: int64(length), Zone: string(c.Zone), Counts: words(c.Counts), Channels: words(c.Channels),
		})
	}
	return out
}

func lifeEvents(in []v1alpha1.LifeEvent) []LifeEvent {
	var out []LifeEvent
	for _, e := range in {
		at, err := time.Parse(time.DateOnly, string(e.EventDate))
		if err != nil {
			continue
		}
		ev := LifeEvent{EventType: string(e.EventType), EventDate: Nano(at)}
		if until, err := time.Parse(time.DateOnly, string(e.ExpirationDate)); err == nil {
			ns := Nano(until)
			ev.ExpirationDate = &ns
		}
		out = append(out, ev)
	}
	return out
}

func windows(in []v1alpha1.DailyWindow) []Window {
	var out []Window
	for _, w := range in {
		out = append(out, Window{Days: words(w.Days), Start: minutes(w.Start), End: minutes(w.End)})
	}
	return out
}

// minutes reads HH:MM, which the schema has checked.
func minutes(s string) int {
	if len(s) != 5 {
		return 0
	}
	return (int(s[0]-'0')*10+int(s[1]-'0'))*60 + int(s[3]-'0')*10 + int(s[4]-'0')
}

func nanos(t *metav1.Time) *int64 {
	if t == nil {
		return nil
	}
	ns := nano(*t)
	return &ns
}

func nano(t metav1.Time) int64 { return Nano(t.Time) }

// The instants that nanoseconds since 1970 can hold.
var (
	firstInstant = time.Unix(0, math.MinInt64)
	lastInstant  = time.Unix(0, math.MaxInt64)
)

// Nano is t in nanoseconds since 1970 UTC. The API admits the years 1 to 9999,
// nanoseconds reach from 1677 to 2262: beyond, the nearest end stands in, so
// that an answer never wraps round.
func Nano(t time.Time) int64 {
	switch {
	case t.Before(firstInstant):
		return math.MinInt64
	case t.After(lastInstant):
		return math.MaxInt64
	}
	return t.UnixNano()
}

func words[T ~string](in []T) []string {
	var out []string
	for _, w := range in {
		out = append(out, string(w))
	}
	return out
}

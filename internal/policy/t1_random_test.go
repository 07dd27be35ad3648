package policy

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
)

// chance makes customers, campaigns and parameters of all kinds, the same ones
// for the same seed.
type chance struct {
	*rand.Rand
	ints map[string][]int64 // by path: numbers at which an answer may turn
	now  int64

	matters map[string]bool // paths that are worth changing; see relevant
}

func newChance(seed uint64) *chance {
	return &chance{Rand: rand.New(rand.NewPCG(seed, 7)), ints: map[string][]int64{}}
}

func pick[T any](c *chance, from ...T) T { return from[c.IntN(len(from))] }

// some are some of the words, possibly none.
func some(c *chance, least int, words ...string) []string {
	out := slices.Clone(words)
	c.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:min(len(out), least+c.IntN(len(out)-least+1))]
}

var (
	purposes = []string{"Marketing", "Offers", "ObtainConsent", "DirectMarketing", "Profiling"}
	channels = []string{"Email", "SMS", "Phone", "Post", "Push", "InApp", "Social", "Web"}
	topics   = []string{"Savings", "Loans", "Gardening"}
	zones    = []string{"Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "UTC", "Africa/Casablanca", "Mars/Base"}
	days     = []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}
	bases    = []string{"Consent", "Contract", "LegalObligation", "VitalInterest", "PublicInterest", "LegitimateInterest", "None"}
	statuses = []string{
		"ConsentGiven", "RenewedConsentGiven", "ConsentRequested", "ConsentRequestDeferred", "ConsentRefused", "ConsentExpired",
		"ConsentWithdrawn", "ConsentRevoked", "ConsentInvalidated", "ConsentUnknown", "SomethingElse",
	}
)

// instants at which something is special: clocks that are put forward or back,
// the ends of weeks, months and years, leap days, and the ends of time.
func (c *chance) instant() time.Time {
	at := []string{
		"2026-06-15T12:00:00Z", "2026-06-15T20:59:59Z", "2026-06-14T22:00:00Z", "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-10-25T00:30:00Z",
		"2026-10-25T01:00:00Z", "2026-11-01T05:30:00Z", "2026-03-08T07:00:00Z", "2028-02-29T12:00:00Z", "2026-12-31T23:59:59Z", "2026-04-04T14:45:00Z",
		"2026-10-03T15:45:00Z", "2011-12-29T12:00:00Z",
	}
	t, _ := time.Parse(time.RFC3339, pick(c, at...))
	switch c.IntN(3) {
	case 0:
		t = t.Add(time.Duration(c.IntN(48*3600)-24*3600) * time.Second)
	case 1:
		t = t.Add(time.Duration(c.IntN(7)-3) * 15 * time.Minute)
	}
	return t
}

// int64 of a path: often one at which an answer turns, or one beside it.
func (c *chance) int(path string) int64 {
	if pool := c.ints[path]; len(pool) > 0 && c.IntN(3) > 0 {
		if at := pick(c, pool...); at < math.MaxInt64 {
			return at + int64(c.IntN(3)-1)
		}
		return math.MaxInt64
	}
	const day = int64(24 * time.Hour)
	switch c.IntN(16) {
	case 0:
		return pick(c, int64(0), math.MaxInt64, math.MaxInt64-1, math.MinInt64+1, math.MinInt64, -1, 1, 8835955200000000000, 8835955200000000000-1)
	case 1, 2, 3, 4:
		return c.now + int64(c.IntN(3)-1)*pick(c, int64(1), int64(time.Second))
	case 5, 6:
		return c.now + int64(c.IntN(60)-30)*int64(time.Hour)
	default:
		return (c.now-day*int64(c.IntN(1200)))/1e9*1e9 + day*100*int64(c.IntN(2))
	}
}

// words are what text at a path may be.
func (c *chance) words(path string) []string {
	switch path[1+lastDot(path):] {
	case "timeZone", "zone":
		return append([]string{"Customer"}, zones...)
	case "purpose":
		return purposes
	case "channel", "channels":
		return channels[:4]
	case "status":
		return statuses
	case "consentType":
		return []string{"ExpressedConsent", "ExplicitlyExpressedConsent", "ImpliedConsent", "Odd"}
	case "legalBasis":
		return bases
	case "event", "type":
		return []string{"Purchase", "Inquiry", "Contract", "HardBounce", "Complaint", "Unsubscribe", "Odd"}
	case "brand":
		return []string{"acme", "globex"}
	case "class", "counts":
		return []string{"Marketing", "Service"}
	case "topic", "topics", "blockedTopics":
		return topics
	case "days":
		return days
	case "window":
		return []string{"Rolling", "CalendarDay", "CalendarWeek", "Odd"}
	case "depth":
		return []string{"Basic", "Analytics", "Tracking", "Profiling", "Odd"}
	case "lifeStage":
		return []string{"Student", "Working", "Retired"}
	case "whose", "name":
		return []string{"week", "day"}
	}
	return []string{"DE", "de", "Declared", "x"}
}

func lastDot(path string) int {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '.' {
			return i
		}
	}
	return -1
}

// fill gives a value of the document chance content, as its shape allows.
func (c *chance) fill(path string, a *attribute, v reflect.Value) {
	if a.optional && c.IntN(4) == 0 {
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range a.fields {
			c.fill(path+"."+f.name, f, v.Field(f.index))
		}
	case reflect.Slice:
		n := pick(c, 0, 1, 1, 1, 2, 3)
		if c.IntN(100) == 0 {
			n = 40
		}
		for range n {
			e := reflect.New(v.Type().Elem()).Elem()
			c.fill(path, a.elem, e)
			v.Set(reflect.Append(v, e))
		}
	case reflect.String:
		v.SetString(pick(c, c.words(path)...))
		if c.IntN(40) == 0 {
			v.SetString("")
		}
	default:
		v.SetInt(c.small(path, v))
	}
}

// small fits numbers that are no instants.
func (c *chance) small(path string, v reflect.Value) int64 {
	switch path[1+lastDot(path):] {
	case "start", "end":
		return int64(pick(c, 0, 1, 21*60, 8*60, 12*60, 1439, 1440, c.IntN(1441)))
	case "max":
		return int64(pick(c, 0, 1, 1, 2, 3))
	case "length":
		return int64(pick(c, 0, 1, 24, 168)) * int64(time.Hour)
	case "birthYear":
		return int64(pick(c, 1900, 2007, 2008, 2009, 2010, 2011, 2261-18, 0, math.MaxInt32, 1980+c.IntN(50)))
	case "bucket":
		return int64(pick(c, 0, 999, 1000, 1001, 9999, c.IntN(10000)))
	}
	return c.int(path)
}

// subject is a customer who may well have answered the campaign.
func (c *chance) subject(q *decision.Campaign) decision.Subject {
	var s decision.Subject
	root := shape()
	c.fill("customer", root.byName["customer"], reflect.ValueOf(&s.Person).Elem())
	c.fill("contacts", root.byName["contacts"], reflect.ValueOf(&s.Contacts).Elem())
	if r := s.Person.Relationship; r != nil && c.IntN(5) > 0 {
		for i := range r.Grants {
			if i == 0 || c.IntN(3) == 0 {
				r.Grants[i].Purpose, r.Grants[i].Channel = q.Purpose, q.Channel
			}
		}
	}
	return s
}

func (c *chance) campaign() decision.Campaign {
	q := decision.Campaign{
		Name: "spring", Namespace: "acme-marketing", Brand: "acme", Purpose: pick(c, purposes...), PurposeClass: pick(c, "Marketing", "Marketing", "Service", "Odd"),
		Channel: pick(c, channels[:4]...), Depth: pick(c, "Basic", "Analytics", "Profiling", "Odd"), HoldoutPercent: pick(c, int32(0), 10, 100),
	}
	if c.IntN(2) == 0 {
		q.Topic = pick(c, topics...)
	}
	return q
}

// policies are the floor and every rule with parameters that its schema admits.
func (c *chance) policies(lib *Library) []Policy {
	p := Policy{Name: "chance", Mode: pick(c, v1alpha1.ModeEnforce, v1alpha1.ModeAudit)}
	for _, r := range lib.Rules() {
		p.Rules = append(p.Rules, v1alpha1.RuleUse{Name: r.Name, With: c.parameters(r.Schema)})
	}
	return []Policy{lib.Floor(), p}
}

func (c *chance) parameters(schema json.RawMessage) *runtime.RawExtension {
	var s struct {
		Properties map[string]struct {
			Type             string
			Enum             []string
			Minimum, Maximum int
			MinItems         int
			Items            struct{ Enum []string }
		}
	}
	if err := json.Unmarshal(schema, &s); err != nil {
		panic(err)
	}
	with := map[string]any{}
	for _, name := range sortedKeys(s.Properties) {
		if c.IntN(3) == 0 {
			continue
		}
		p := s.Properties[name]
		switch {
		case p.Enum != nil:
			with[name] = pick(c, p.Enum...)
		case p.Type == "integer":
			with[name] = min(p.Maximum, p.Minimum+c.IntN(4)*c.IntN(12))
		case p.Type == "array" && p.Items.Enum != nil:
			with[name] = some(c, p.MinItems, p.Items.Enum...)
		case p.Type == "array":
			with[name] = some(c, p.MinItems, append(slices.Clone(purposes), topics...)...)
		case name == "zone":
			with[name] = pick(c, "Customer", "Europe/Berlin", "UTC", "Mars/Base")
		case name == "length":
			with[name] = fmt.Sprintf("%dh", 1+c.IntN(200))
		default:
			with[name] = pick(c, "00:00", "08:00", "12:00", "21:00", "23:59")
		}
	}
	text, err := json.Marshal(with)
	if err != nil {
		panic(err)
	}
	return &runtime.RawExtension{Raw: text}
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// question asks about n customers at a special time.
func (c *chance) question(n int) decision.Question {
	q := decision.Question{Now: c.instant(), Campaign: c.campaign()}
	c.now = q.Now.UnixNano()
	for range n {
		q.Subjects = append(q.Subjects, c.subject(&q.Campaign))
	}
	return q
}

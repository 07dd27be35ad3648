package main

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// expert is what somebody would write who has this one policy, these columns and
// time: everything that depends on one or two ids is looked up, the rest is one
// loop over the rows (loop.go). It says all that the engine says: every reason, and
// when each answer goes stale.
type expert struct {
	now      int64
	campaign *decision.Campaign
	bits     []said // by bit of a mask
	asks     bool   // the campaign asks for consent
	confirms bool   // its channel wants confirmed consents
	held     int64  // whose bucket is less is in the holdout

	byYear, byStage, byDepth, byBlocked, byObjection []outcome
	children                                         []bool      // by year of birth: a guardian is needed
	quiet, open                                      [][]outcome // by time zone and windows
	caps                                             []limit
	grant                                            grantTables
	event                                            eventTables
	sent                                             sentTables
}

// outcome is what follows from an id.
type outcome struct {
	mask  uint64
	stale int64
}

// never is later than all.
const never = math.MaxInt64

// said is a reason by what tells reasons apart.
type said struct {
	rule, code, message string
	hold                bool
}

// The reasons that everybody may have; those of customers' own caps follow.
const (
	noGrant = iota
	channelNotGranted
	optInCode         // and five more, see codes
	legalBasisMissing = optInCode + iota + 4
	optInLapsed
	expired
	notYetEffective
	optedOut
	withdrawn
	refused
	unconfirmed
	topicNotGranted
	topicBlocked
	topicNotStated
	depthExceeded
	quietHours
	quietNoZone
	outside
	outsideNoZone
	policyCap
	capNoZone
	paused
	underAge
	guardianMissing
	ageUnknown
	lapsed
	objected
	coolDown
	bounced
	complained
	unsubscribed
	heldOut
	lifeStage
	firstCap
)

// codes are those of an answer that is none, in the order of their bits.
var codes = []string{"", "ConsentPending", "ConsentRefused", "ConsentExpired", "ConsentWithdrawn", "ConsentUnknown"}

func newExpert(c *decision.Campaign, at time.Time, dicts dictionaries) *expert {
	x := &expert{now: at.UnixNano(), campaign: c, bits: make([]said, firstCap)}
	x.asks = c.Purpose == "ObtainConsent" || c.Purpose == "ReaffirmConsent"
	x.confirms = c.Channel == "Email"
	x.held = int64(c.HoldoutPercent) * 100
	x.words()
	x.people(dicts)
	x.hours(dicts)
	x.limits(dicts)
	x.grants(dicts)
	x.history(dicts)
	return x
}

// words are what the reasons say.
func (x *expert) words() {
	c := x.campaign
	holds := []int{notYetEffective, quietHours, outside, policyCap, paused, coolDown}
	set := func(bit int, rule, code, message string) {
		x.bits[bit] = said{rule, code, message, slices.Contains(holds, bit)}
	}
	set(noGrant, "opt-in", "NoGrant", "the customer gave the brand no answer about the purpose "+c.Purpose)
	set(channelNotGranted, "opt-in", "ChannelNotGranted", "the customer allows the purpose "+c.Purpose+", but not over "+c.Channel)
	messages := []string{
		"", "the customer was asked and has not answered yet", "the customer refused", "the consent has expired",
		"the consent was withdrawn, revoked or invalidated", "it is not known that the customer consented; a defaulted answer is not a given one",
	}
	for i := 1; i < len(codes); i++ {
		set(optInCode+i-1, "opt-in", codes[i], messages[i])
	}
	set(legalBasisMissing, "opt-in", "LegalBasisMissing", "the legal basis of the customer's answer does not carry a campaign of this class")
	set(optInLapsed, "opt-in", "ImpliedConsentLapsed", "the consent is implied, and what implied it is too long ago, not known or still to come")
	set(expired, "validity", "ConsentExpired", messages[3])
	set(notYetEffective, "validity", "ConsentNotYetEffective", "the consent does not count yet")
	set(optedOut, "withdrawal", "OptedOut", "the customer opted out")
	set(withdrawn, "withdrawal", "ConsentWithdrawn", messages[4])
	set(refused, "withdrawal", "ConsentRefused", messages[2])
	set(unconfirmed, "double-opt-in", "ConsentPending", "the customer has not confirmed the consent for "+c.Channel)
	set(topicNotGranted, "topic", "TopicNotGranted", "the customer's answer is for certain topics, and the campaign's is not among them")
	set(topicBlocked, "topic", "TopicBlocked", "the customer blocked the campaign's topic")
	set(topicNotStated, "topic", "TopicNotStated", "the customer blocked some topics, and the campaign does not state its own")
	set(depthExceeded, "depth", "DepthExceeded", "the campaign goes deeper than the customer agreed")
	noZone := "the rule needs the customer's local time, and the customer has no time zone"
	set(quietHours, "quiet-hours", "QuietHours", "it is quiet hours where the customer is")
	set(quietNoZone, "quiet-hours", "MissingTimeZone", noZone)
	set(outside, "contact-windows", "OutsideContactWindow", "it is not one of the times at which the customer wants to be contacted")
	set(outsideNoZone, "contact-windows", "MissingTimeZone", noZone)
	set(policyCap, "frequency-cap", "FrequencyCapping", "the policy's cap of 3 contacts (Marketing) in a Rolling window is reached")
	set(capNoZone, "frequency-cap", "MissingTimeZone", noZone)
	set(paused, "pause", "Paused", "the customer paused all marketing")
	set(underAge, "age", "UnderAge", "the customer may be younger than 18")
	set(guardianMissing, "age", "GuardianMissing", "the customer may be younger than 16, and no guardian authorised the answers")
	set(ageUnknown, "age", "AgeUnknown", "the customer's year of birth is not known")
	set(lapsed, "implied-consent", "ImpliedConsentLapsed", "the consent is implied, and no purchase or contract within 24 months nor inquiry within 6 implies it")
	set(objected, "objection", "Objected", "the customer objected to this use")
	set(coolDown, "refusal-cool-down", "RefusalCoolDown", "the customer refused less than 366 days ago and is not asked again")
	set(bounced, "suppression", "Suppressed", "an earlier contact ended in a HardBounce")
	set(complained, "suppression", "Suppressed", "an earlier contact ended in a Complaint")
	set(unsubscribed, "suppression", "Suppressed", "an earlier contact ended in a Unsubscribe")
	set(heldOut, "holdout", "HeldOut", "the campaign's holdout keeps the customer un-contacted")
	set(lifeStage, "life-stage", "LifeStageExcluded", "the policy keeps the campaign's topic away from people in the customer's stage of life")
}

// byID makes a table of a dictionary; there is an answer for what is absent, too.
func byID[T, V any](d *expr.Dict, of func(v V, there bool) T) []T {
	out := make([]T, d.Len())
	for id := range out {
		v, there := d.Value(uint32(id)).(V)
		out[id] = of(v, there)
	}
	return out
}

func when(yes bool, bit int) outcome {
	if yes {
		return outcome{1 << bit, never}
	}
	return outcome{0, never}
}

// people are the rules about who somebody is.
func (x *expert) people(d dictionaries) {
	c, year := x.campaign, time.Unix(0, x.now).UTC().Year()
	x.byYear = byID(d.birthYear, func(born int32, there bool) outcome {
		if !there {
			return when(true, ageUnknown)
		}
		o := when(year-int(born)-1 < 18, underAge)
		for _, age := range []int{18, 16} {
			if birthday := time.Date(int(born)+age+1, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano(); birthday > x.now {
				o.stale = min(o.stale, birthday)
			}
		}
		return o
	})
	x.children = byID(d.birthYear, func(born int32, there bool) bool { return there && year-int(born)-1 < 16 })
	sensitive := slices.Contains([]string{"ConsumerCredit", "Gambling", ""}, c.Topic)
	x.byStage = byID(d.lifeStage, func(stage string, _ bool) outcome { return when(sensitive && stage == "Student", lifeStage) })
	ladder := map[string]int{"Basic": 1, "Analytics": 2, "Tracking": 3, "Profiling": 4}
	x.byDepth = byID(d.depth, func(depth string, _ bool) outcome { return when(ladder[c.Depth] > ladder[depth], depthExceeded) })
	x.byBlocked = byID(d.blockedTopics, func(blocked []string, _ bool) outcome {
		if c.Topic == "" {
			return when(len(blocked) > 0, topicNotStated)
		}
		return when(slices.Contains(blocked, c.Topic), topicBlocked)
	})
	x.byObjection = byID(d.objectionPurpose, func(purpose string, _ bool) outcome {
		yes := purpose == c.Purpose || c.PurposeClass != "Service" && (purpose == "Marketing" || purpose == "DirectMarketing") ||
			purpose == "Profiling" && c.Depth == "Profiling"
		return when(yes, objected)
	})
}

// hours are the rules about the customer's clock: what rings does not ring at
// night, and everybody has wishes.
func (x *expert) hours(d dictionaries) {
	var general []consent.Window
	if slices.Contains([]string{"SMS", "Phone", "Push"}, x.campaign.Channel) {
		general = []consent.Window{{Days: everyday, Start: 20 * 60, End: 9 * 60}}
	}
	x.quiet = x.table(d.timeZone, d.quietHours, func(zone *time.Location, own []consent.Window) outcome {
		all := slices.Concat(general, own)
		switch {
		case len(all) == 0:
			return outcome{0, never}
		case zone == nil:
			return when(true, quietNoZone)
		}
		in, ends, begins := around(all, zone, x.now)
		if in {
			return outcome{1 << quietHours, ends}
		}
		return outcome{0, begins}
	})
	x.open = x.table(d.timeZone, d.contactWindows, func(zone *time.Location, wanted []consent.Window) outcome {
		switch {
		case len(wanted) == 0:
			return outcome{0, never}
		case zone == nil:
			return when(true, outsideNoZone)
		}
		in, ends, begins := around(wanted, zone, x.now)
		if in {
			return outcome{0, ends}
		}
		return outcome{1 << outside, begins}
	})
}

func (x *expert) table(zones, of *expr.Dict, f func(*time.Location, []consent.Window) outcome) [][]outcome {
	return byID(zones, func(name string, there bool) []outcome {
		var zone *time.Location
		if there {
			zone, _ = time.LoadLocation(name) // all of these are known
		}
		return byID(of, func(ws []consent.Window, _ bool) outcome { return f(zone, ws) })
	})
}

// around says whether an instant is in the windows of a zone, until when, and when
// the next one begins.
func around(ws []consent.Window, zone *time.Location, ns int64) (in bool, ends, begins int64) {
	type span struct{ from, until int64 }
	var spans []span
	y, m, day := time.Unix(0, ns).In(zone).Date()
	for d := day - 1; d <= day+8; d++ {
		midnight := time.Date(y, m, d, 0, 0, 0, 0, zone)
		for _, w := range ws {
			if !slices.Contains(w.Days, midnight.Weekday().String()[:3]) {
				continue
			}
			end := w.End
			if end <= w.Start {
				end += 1440
			}
			spans = append(spans, span{time.Date(y, m, d, 0, w.Start, 0, 0, zone).UnixNano(), time.Date(y, m, d, 0, end, 0, 0, zone).UnixNano()})
		}
	}
	inside := func(at int64) bool {
		return slices.ContainsFunc(spans, func(s span) bool { return s.from <= at && at < s.until })
	}
	ends, begins = never, never
	for _, s := range spans {
		if ns < s.until && s.until <= ns+7*24*int64(time.Hour) && !inside(s.until) {
			ends = min(ends, s.until)
		}
		if ns < s.from {
			begins = min(begins, s.from)
		}
	}
	return inside(ns), ends, begins
}

// limit is a customer's own cap, for this campaign.
type limit struct {
	governs  bool
	max      int
	calendar bool
	length   int64
	start    []int64 // of a calendar window, by time zone; never: the zone is not known
	free     []int64
	counts   []bool // by class
	channels []bool // by channel
	brands   []bool // by brand
	bit      int
}

func (x *expert) limits(d dictionaries) {
	x.caps = byID(d.cap, func(c consent.Cap, there bool) limit {
		all := len(c.Channels) == 0
		l := limit{max: int(c.Max), length: c.Length, calendar: strings.HasPrefix(c.Window, "Calendar")}
		l.governs = there && slices.Contains(c.Counts, x.campaign.PurposeClass) && (all || slices.Contains(c.Channels, x.campaign.Channel))
		if !l.governs {
			return l
		}
		l.counts = byID(d.sentClass, func(class string, _ bool) bool { return slices.Contains(c.Counts, class) })
		l.channels = byID(d.sentChannel, func(channel string, _ bool) bool { return all || slices.Contains(c.Channels, channel) })
		l.brands = byID(d.sentBrand, func(b string, _ bool) bool { return c.Brand == "" || c.Brand == b })
		if l.calendar {
			l.start, l.free = x.calendar(&c, d.timeZone)
		}
		l.bit = x.bitOf(said{"frequency-cap", "FrequencyCapping", "the customer's own cap of " + strconv.Itoa(int(c.Max)) +
			" contacts (" + strings.Join(c.Counts, " and ") + ") in a " + c.Window + " window is reached", c.Max > 0})
		return l
	})
}

// calendar is when the present window began and when it ends.
func (x *expert) calendar(c *consent.Cap, zones *expr.Dict) (start, free []int64) {
	days := 1
	if c.Window == "CalendarWeek" {
		days = 7
	}
	free = byID(zones, func(name string, there bool) int64 {
		if c.Zone != "Customer" {
			name, there = c.Zone, true
		}
		zone, err := time.LoadLocation(name)
		if !there || err != nil {
			start = append(start, never)
			return never
		}
		y, m, day := time.Unix(0, x.now).In(zone).Date()
		if days == 7 {
			day -= (int(time.Date(y, m, day, 0, 0, 0, 0, zone).Weekday()) + 6) % 7
		}
		start = append(start, time.Date(y, m, day, 0, 0, 0, 0, zone).UnixNano())
		return time.Date(y, m, day+days, 0, 0, 0, 0, zone).UnixNano()
	})
	return start, free
}

func (x *expert) bitOf(s said) int {
	if i := slices.Index(x.bits, s); i >= 0 {
		return i
	}
	x.bits = append(x.bits, s)
	return len(x.bits) - 1
}

// find is the bit of a reason.
func (x *expert) find(s said) (bit int, ok bool) {
	bit = slices.Index(x.bits, s)
	return max(bit, 0), bit >= 0
}

// names are the reasons of a mask.
func (x *expert) names(mask uint64) (out []said) {
	for bit, s := range x.bits {
		if mask>>bit&1 != 0 {
			out = append(out, s)
		}
	}
	return out
}

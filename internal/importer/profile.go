package importer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Profile says how many customers get which made-up answers. Shares are
// percent of the customers who have not bought before; purchasers keep the
// consent that their purchase implies. The zero value makes up nothing.
type Profile struct {
	Name string
	// Newsletter, Club and Holiday are shares of everybody; Overcalled is a
	// share of everybody, of which those called more than 3 times are taken.
	// Who is left is Cold.
	Newsletter, Club, Holiday, Overcalled int
}

// profiles, by name. As-recorded holds what is in the rows and no more.
var profiles = map[string]Profile{
	"as-recorded": {Name: "as-recorded"},
	"demo":        {Name: "demo", Newsletter: 20, Club: 20, Holiday: 10, Overcalled: 40},
}

// ProfileNamed returns a profile.
func ProfileNamed(name string) (Profile, error) {
	p, ok := profiles[name]
	if !ok {
		known := slices.Sorted(maps.Keys(profiles))
		return Profile{}, fmt.Errorf("profile %q is not known: use %s", name, strings.Join(known, " or "))
	}
	return p, nil
}

func (p Profile) name() string {
	if p.Name == "" {
		return "as-recorded"
	}
	return p.Name
}

// Segment is the part of a demo that a customer plays in, as LabelSegment.
type Segment string

const (
	// Newsletter asked for e-mail, confirmed it and was left alone for a month:
	// a campaign to them may run.
	Newsletter Segment = "newsletter"
	// Club was asked for e-mail: some said yes, some have not confirmed, some
	// took it back: a campaign to them is partly allowed.
	Club Segment = "club"
	// Holiday said yes, and not now: every contact is paused for three weeks.
	Holiday Segment = "holiday"
	// Overcalled said yes, at most three contacts a week, and was called every
	// day: the cap holds a campaign for some days.
	Overcalled Segment = "overcalled"
	// Purchasers bought in an earlier campaign, which implies a consent to calls.
	Purchasers Segment = "purchasers"
	// Cold never said anything: a campaign to them is blocked.
	Cold Segment = "cold"
)

// overcalledFrom is the number of calls that no weekly cap of three allows.
const overcalledFrom = 4

// adult is the least age that the row must show for a made-up answer: nobody
// invents a minor's consent, nor a guardian's.
const adult = 18

func (m Mapper) segment(r Row) Segment {
	p := m.Profile
	if p == (Profile{}) || p == profiles["as-recorded"] {
		return ""
	}
	if r.Outcome == "success" {
		return Purchasers
	}
	if r.Age < adult {
		return Cold
	}
	n := m.draw(r.Number, "segment", 100)
	for _, s := range []struct {
		segment Segment
		share   int
		fits    bool
	}{
		{Newsletter, p.Newsletter, true},
		{Club, p.Club, true},
		{Holiday, p.Holiday, true},
		{Overcalled, p.Overcalled, r.Calls >= overcalledFrom},
	} {
		if n < s.share && s.fits {
			return s.segment
		}
		n -= s.share
		if n < 0 {
			break
		}
	}
	return Cold
}

func (s Segment) pace() pace {
	switch s {
	case Newsletter, Club, Holiday:
		return rested
	case Overcalled:
		return daily
	default:
		return ordinary
	}
}

// homes are where made-up customers live, and what they speak there.
var homes = []struct {
	zone         v1alpha1.TimeZone
	jurisdiction v1alpha1.Jurisdiction
	language     v1alpha1.Language
}{
	{"Europe/Lisbon", "PT", "pt"},
	{"Europe/Madrid", "ES", "es"},
	{"Europe/Paris", "FR", "fr"},
	{"Europe/Berlin", "DE", "de"},
	{"Europe/Athens", "GR", "el"},
}

var everyDay = []v1alpha1.Weekday{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

// invent adds what no row holds: where the customer lives and, by segment,
// what the customer said.
func (m Mapper) invent(r Row, seg Segment, spec *v1alpha1.CustomerConsentSpec) {
	home := homes[m.draw(r.Number, "home", len(homes))]
	spec.TimeZone, spec.Jurisdiction, spec.Language = home.zone, home.jurisdiction, home.language
	spec.TimeZoneSource = "Imported"
	if seg == Cold || seg == Purchasers {
		return
	}
	spec.TimeZoneSource = "Declared" // whoever answered could say where, too
	rel := &spec.Relationships[0]
	switch seg {
	case Newsletter:
		rel.Depth = v1alpha1.DepthProfiling
		rel.Grants = append(rel.Grants, m.given(r, v1alpha1.ChannelEmail))
	case Club:
		m.club(r, spec)
	case Holiday:
		rel.Depth = v1alpha1.DepthProfiling
		rel.Grants = append(rel.Grants, m.given(r, v1alpha1.ChannelEmail))
		spec.Pause = &v1alpha1.Pause{From: m.day(1), Until: m.day(-21)}
	case Overcalled:
		rel.Depth = v1alpha1.DepthProfiling
		rel.Grants = []v1alpha1.Grant{m.given(r, v1alpha1.ChannelPhone), m.given(r, v1alpha1.ChannelEmail)}
		spec.Caps = []v1alpha1.FrequencyCap{{
			Name: "weekly", Max: overcalledFrom - 1, Window: v1alpha1.WindowRolling, Length: "168h",
			Counts: []v1alpha1.PurposeClass{v1alpha1.ClassMarketing},
		}}
	}
}

// club mixes answers: of 20, 12 gave consent, 3 have not confirmed it, 2 took
// it back, 3 never answered. A quarter wants quiet nights.
func (m Mapper) club(r Row, spec *v1alpha1.CustomerConsentSpec) {
	rel := &spec.Relationships[0]
	rel.Depth = []v1alpha1.Depth{
		v1alpha1.DepthBasic, v1alpha1.DepthAnalytics, v1alpha1.DepthTracking, v1alpha1.DepthProfiling,
	}[m.draw(r.Number, "depth", 4)]
	g := m.given(r, v1alpha1.ChannelEmail)
	switch n := m.draw(r.Number, "answer", 20); {
	case n < 12:
		rel.Grants = append(rel.Grants, g)
	case n < 15:
		g.Status, g.DoubleConsentCaptureDate = v1alpha1.ConsentRequested, nil
		rel.Grants = append(rel.Grants, g)
	case n < 17:
		g.Status = v1alpha1.ConsentWithdrawn
		rel.Grants = append(rel.Grants, g)
	}
	if m.draw(r.Number, "quiet", 4) == 0 {
		spec.QuietHours = []v1alpha1.DailyWindow{{Days: everyDay, Start: "21:00", End: "08:00"}}
	}
}

// given is an answer of the last ten months, confirmed within the day.
func (m Mapper) given(r Row, channel v1alpha1.Channel) v1alpha1.Grant {
	asked := m.before(30+m.draw(r.Number, "asked "+string(channel), 270), 8*60+m.draw(r.Number, "asked minute", 12*60))
	confirmed := metav1.NewTime(asked.Add(time.Duration(1+m.draw(r.Number, "confirmed", 120)) * time.Minute))
	return v1alpha1.Grant{
		Purpose: purpose, Channel: channel,
		Status:      v1alpha1.ConsentGiven,
		ConsentType: v1alpha1.ExplicitlyExpressedConsent, LegalBasis: v1alpha1.BasisConsent,
		CaptureDate: metav1.NewTime(asked), CaptureSource: "Web",
		DoubleConsentCaptureDate: &confirmed,
		Artifact:                 "synthetic/" + m.Profile.name(),
	}
}

// day is midnight UTC of the day that lies days before the day of AsOf.
func (m Mapper) day(days int) metav1.Time { return metav1.NewTime(m.before(days, 0)) }

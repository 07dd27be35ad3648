package importer

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
)

// Labels of imported customers. They say where a record comes from and let
// audiences pick from it; none of them says what the customer allows.
const (
	labelPrefix = "import." + v1alpha1.Group + "/"

	// LabelSource names the data set.
	LabelSource = labelPrefix + "source"
	// LabelSynthetic is "true" on every record of which a part was made up, at
	// the least the days.
	LabelSynthetic = labelPrefix + "synthetic"
	// LabelProfile names the Profile that made the rest up.
	LabelProfile = labelPrefix + "profile"
	// LabelSegment names the part of the demo that the customer plays in.
	LabelSegment = labelPrefix + "segment"
	// LabelPhone is the kind of number that the bank had. That is no consent.
	LabelPhone = labelPrefix + "phone"
	// LabelMarital is the row's marital, for which the API has no field.
	LabelMarital = labelPrefix + "marital"

	source                   = "uci-bank-marketing"
	purpose v1alpha1.Purpose = "Marketing"
)

// DefaultSeed is the year in which the data set was published.
const DefaultSeed = 2014

// Mapper makes a customer and a past of a row: the same row under the same
// Mapper gives the same bytes.
type Mapper struct {
	// Seed of everything that the rows don't hold.
	Seed uint64
	// AsOf is the instant before which the past lies; whole days count, in UTC.
	AsOf time.Time
	// Profile says what to make up. The zero value makes up no consent.
	Profile Profile
	// Brand that called.
	Brand string
}

// Map returns the row's customer, without a namespace, and the customer's past.
func (m Mapper) Map(r Row) (v1alpha1.CustomerConsent, []contacts.Record) {
	seg := m.segment(r)
	p := m.past(r, seg.pace())
	cc := v1alpha1.CustomerConsent{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "CustomerConsent"},
		ObjectMeta: metav1.ObjectMeta{
			Name: m.principal(r.Number),
			Labels: map[string]string{
				LabelSource:    source,
				LabelSynthetic: "true",
				LabelProfile:   m.Profile.name(),
				LabelPhone:     r.Phone,
				LabelMarital:   r.Marital,
			},
		},
		Spec: v1alpha1.CustomerConsentSpec{
			BirthYear: m.birthYear(r),
			LifeStage: lifeStages[r.Job],
			Relationships: []v1alpha1.Relationship{{
				Brand:  m.Brand,
				Depth:  v1alpha1.DepthBasic,
				Grants: []v1alpha1.Grant{m.phone(r, p)},
			}},
		},
	}
	if seg != "" {
		cc.Labels[LabelSegment] = string(seg)
		m.invent(r, seg, &cc.Spec)
	}
	return cc, m.records(r, p)
}

// birthYear takes the age as of 31 December of the year before AsOf: on that
// day an age has but one possible year of birth, and the age that policies
// count with (the younger of two) is the row's during the whole year of AsOf.
func (m Mapper) birthYear(r Row) *int32 {
	year := int32(m.AsOf.UTC().Year() - 1 - r.Age)
	return &year
}

// lifeStages has the row's jobs; unknown has none.
var lifeStages = map[string]v1alpha1.LifeStage{
	"admin.":        "Working",
	"blue-collar":   "Working",
	"housemaid":     "Working",
	"management":    "Working",
	"services":      "Working",
	"technician":    "Working",
	"entrepreneur":  "SelfEmployed",
	"self-employed": "SelfEmployed",
	"retired":       "Retired",
	"student":       "Student",
	"unemployed":    "Unemployed",
}

// phone is all that the row says of consent: an earlier purchase implies one
// for a time, and otherwise nobody knows of any.
func (m Mapper) phone(r Row, p past) v1alpha1.Grant {
	if at := p.purchase(r); !at.IsZero() {
		return v1alpha1.Grant{
			Purpose: purpose, Channel: v1alpha1.ChannelPhone,
			Status:      v1alpha1.ConsentGiven,
			ConsentType: v1alpha1.ImpliedConsent, LegalBasis: v1alpha1.BasisConsent,
			CaptureDate: metav1.NewTime(at), CaptureSource: "Import",
			ImpliedBy: &v1alpha1.ImpliedBy{Event: v1alpha1.EventPurchase, EventDate: metav1.NewTime(at)},
			Artifact:  source + "/poutcome",
		}
	}
	return v1alpha1.Grant{
		Purpose: purpose, Channel: v1alpha1.ChannelPhone,
		Status:      v1alpha1.ConsentUnknown,
		ConsentType: v1alpha1.ExpressedConsent, LegalBasis: v1alpha1.BasisConsent,
		CaptureDate: metav1.NewTime(m.before(0, 0)), CaptureSource: "Import",
	}
}

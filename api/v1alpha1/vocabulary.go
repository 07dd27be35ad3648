package v1alpha1

// Purpose is what a contact is for, a term of the Data Privacy Vocabulary
// (DPV) or of the brand's own, as declared in Brand.spec.purposes.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule=`self.matches('^[A-Z][A-Za-z0-9]*$')`,message=`write the purpose as one word of letters and digits with a capital first, for example Marketing`
type Purpose string

// PurposeClass tells promotion from service: policies and caps say which of
// the two they are about.
// +kubebuilder:validation:Enum=Marketing;Service
type PurposeClass string

const (
	// ClassMarketing promotes something; it needs the customer's consent.
	ClassMarketing PurposeClass = "Marketing"
	// ClassService serves a contract or a duty: an invoice, a recall.
	ClassService PurposeClass = "Service"
)

// Channel is the medium of a contact.
// +kubebuilder:validation:Enum=Email;SMS;Phone;Post;Push;InApp;Social;Web
type Channel string

const (
	ChannelEmail  Channel = "Email"
	ChannelSMS    Channel = "SMS"
	ChannelPhone  Channel = "Phone"
	ChannelPost   Channel = "Post"
	ChannelPush   Channel = "Push"
	ChannelInApp  Channel = "InApp"
	ChannelSocial Channel = "Social"
	ChannelWeb    Channel = "Web"
)

// Topic is a subject of the brand's communication, for example Garden.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule=`self.matches('^[A-Z][A-Za-z0-9]*$')`,message=`write the topic as one word of letters and digits with a capital first, for example Garden`
type Topic string

// Depth is how far a relationship goes; each step includes those before it.
// They map to IEEE 7012 agreements: Basic = SD-BASE, Analytics = SD-BASE-A,
// Tracking = SD-BASE-AT, Profiling = SD-BASE-ATP.
// +kubebuilder:validation:Enum=Basic;Analytics;Tracking;Profiling
type Depth string

const (
	DepthBasic     Depth = "Basic"
	DepthAnalytics Depth = "Analytics"
	DepthTracking  Depth = "Tracking"
	DepthProfiling Depth = "Profiling"
)

// ConsentStatus is the state of one answer, in the words of DPV. Only
// ConsentGiven and RenewedConsentGiven justify a contact; a defaulted or
// imported answer is ConsentUnknown, never given.
// +kubebuilder:validation:Enum=ConsentGiven;RenewedConsentGiven;ConsentRequested;ConsentRequestDeferred;ConsentRefused;ConsentExpired;ConsentWithdrawn;ConsentRevoked;ConsentInvalidated;ConsentUnknown
type ConsentStatus string

const (
	ConsentGiven           ConsentStatus = "ConsentGiven"
	RenewedConsentGiven    ConsentStatus = "RenewedConsentGiven"
	ConsentRequested       ConsentStatus = "ConsentRequested"
	ConsentRequestDeferred ConsentStatus = "ConsentRequestDeferred"
	ConsentRefused         ConsentStatus = "ConsentRefused"
	ConsentExpired         ConsentStatus = "ConsentExpired"
	ConsentWithdrawn       ConsentStatus = "ConsentWithdrawn"
	ConsentRevoked         ConsentStatus = "ConsentRevoked"
	ConsentInvalidated     ConsentStatus = "ConsentInvalidated"
	ConsentUnknown         ConsentStatus = "ConsentUnknown"
)

// ConsentType says how an answer came about, in the words of DPV.
// +kubebuilder:validation:Enum=ExplicitlyExpressedConsent;ExpressedConsent;ImpliedConsent
type ConsentType string

const (
	ExplicitlyExpressedConsent ConsentType = "ExplicitlyExpressedConsent"
	ExpressedConsent           ConsentType = "ExpressedConsent"
	ImpliedConsent             ConsentType = "ImpliedConsent"
)

// LegalBasis is why personal data may be used (GDPR article 6).
// +kubebuilder:validation:Enum=Consent;Contract;LegalObligation;VitalInterest;PublicInterest;LegitimateInterest
type LegalBasis string

const (
	BasisConsent            LegalBasis = "Consent"
	BasisContract           LegalBasis = "Contract"
	BasisLegalObligation    LegalBasis = "LegalObligation"
	BasisVitalInterest      LegalBasis = "VitalInterest"
	BasisPublicInterest     LegalBasis = "PublicInterest"
	BasisLegitimateInterest LegalBasis = "LegitimateInterest"
)

// ImplyingEvent is an act that implies a consent for a time (CASL section 10).
// +kubebuilder:validation:Enum=Purchase;Contract;Inquiry
type ImplyingEvent string

const (
	EventPurchase ImplyingEvent = "Purchase"
	EventContract ImplyingEvent = "Contract"
	EventInquiry  ImplyingEvent = "Inquiry"
)

// LifeEventType is a change in a person's life that the person declared.
// +kubebuilder:validation:Enum=Birth;Baby;DomesticPartnership;Enrolled;Graduation;Home;Job;Marriage;Relocation;Retirement
type LifeEventType string

// LifeStage is where in life a person stands, as declared or imported.
// +kubebuilder:validation:Enum=Student;Working;SelfEmployed;HomeMaker;Unemployed;Retired
type LifeStage string

// Jurisdiction is an ISO 3166-1 alpha-2 country code, optionally with an
// ISO 3166-2 part, for example DE or US-CA. Quote "NO" in YAML: unquoted it
// reads as false.
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=6
// +kubebuilder:validation:XValidation:rule=`self.matches('^[A-Z]{2}(-[A-Z0-9]{1,3})?$')`,message=`write an ISO 3166 code, for example DE or US-CA`
type Jurisdiction string

// Language is a BCP 47 tag of a language, optionally with a region: de, fr-CA.
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=6
// +kubebuilder:validation:XValidation:rule=`self.matches('^[a-z]{2,3}(-[A-Z]{2})?$')`,message=`write a language tag, for example de or fr-CA`
type Language string

// TimeZone is a name of the IANA time zone database, for example
// Europe/Berlin. An offset is not a zone: it is wrong half of the year.
// +kubebuilder:validation:MinLength=3
// +kubebuilder:validation:MaxLength=40
// +kubebuilder:validation:XValidation:rule=`self.matches('^(UTC|[A-Z][A-Za-z0-9_+-]+(/[A-Z][A-Za-z0-9_+-]+){1,2})$')`,message=`write a zone of the IANA database, for example Europe/Berlin, or UTC; an offset or an abbreviation is wrong for half of the year`
type TimeZone string

// Weekday is a day of the week in the zone that applies.
// +kubebuilder:validation:Enum=Mon;Tue;Wed;Thu;Fri;Sat;Sun
type Weekday string

// Date is a calendar day, YYYY-MM-DD, read as midnight UTC.
// +kubebuilder:validation:MinLength=10
// +kubebuilder:validation:MaxLength=10
// +kubebuilder:validation:Format=date
type Date string

// DailyWindow is a span of wall-clock time on some days of the week, in the
// customer's own time zone. It starts at start, included, and stops at end,
// excluded. An end at or before start lies on the next day: 21:00 to 08:00 is
// one night, counted to the day on which it starts. Overlapping windows are
// united.
// +kubebuilder:validation:XValidation:rule="self.start != self.end",messageExpression="'a window from ' + self.start + ' to ' + self.end + ' is empty: start and end must differ; write 00:00 to 24:00 for the whole day'",fieldPath=".end"
type DailyWindow struct {
	// days on which the window starts. At least one.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=7
	Days []Weekday `json:"days"`

	// start is the first minute inside the window, HH:MM, 24-hour clock.
	// +required
	// +kubebuilder:validation:MinLength=5
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:XValidation:rule=`self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')`,message=`write HH:MM on a 24-hour clock, 00:00 to 23:59, for example 09:30`
	Start string `json:"start"`

	// end is the first minute after the window, HH:MM, up to 24:00.
	// +required
	// +kubebuilder:validation:MinLength=5
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:XValidation:rule=`self.matches('^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$')`,message=`write HH:MM on a 24-hour clock, 00:00 to 24:00, for example 21:30`
	End string `json:"end"`
}

// CapWindow says how a frequency cap measures time.
// +kubebuilder:validation:Enum=Rolling;CalendarDay;CalendarWeek
type CapWindow string

const (
	// WindowRolling looks back a fixed length from the moment of the contact.
	WindowRolling CapWindow = "Rolling"
	// WindowCalendarDay runs from midnight to midnight in the stated zone.
	WindowCalendarDay CapWindow = "CalendarDay"
	// WindowCalendarWeek runs from Monday midnight to Monday midnight in the
	// stated zone.
	WindowCalendarWeek CapWindow = "CalendarWeek"
)

// Percent is a whole number of hundredths; each field says its bounds.
type Percent int32

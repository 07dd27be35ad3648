package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CustomerConsent holds the rules of one customer: with whom, how deep, for
// what, over which channel, when and how often. Its name is the customer's
// opaque principal id; it holds no name and no address of a person.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=cc,categories=codb
// +kubebuilder:selectablefield:JSONPath=`.status.summary`
// +kubebuilder:printcolumn:name="Given",type=string,JSONPath=`.status.summary`,description="What the answers amount to now"
// +kubebuilder:printcolumn:name="Brands",type=integer,JSONPath=`.status.brandsGiven`,description="Brands that may contact this customer for something"
// +kubebuilder:printcolumn:name="Until",type=string,JSONPath=`.status.nextChange`,description="When that changes by itself"
// +kubebuilder:printcolumn:name="Zone",type=string,JSONPath=`.spec.timeZone`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$')",message="the name is the opaque principal id: at most 63 of a-z, 0-9 and -; never an address or a name"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.guardian) || self.spec.guardian.ref != self.metadata.name",messageExpression="self.metadata.name + ' can\\'t be their own guardian: write the guardian\\'s principal id'",fieldPath=".spec.guardian.ref"
type CustomerConsent struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the customer decided.
	// +required
	Spec CustomerConsentSpec `json:"spec"`

	// status is what that amounts to now; codb writes it.
	// +optional
	Status CustomerConsentStatus `json:"status,omitempty"`
}

// CustomerConsentList is a list of CustomerConsents.
// +kubebuilder:object:root=true
type CustomerConsentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CustomerConsent `json:"items"`
}

// CustomerConsentSpec is what one customer decided. Whatever is absent is not
// allowed.
// +kubebuilder:validation:XValidation:rule="!has(self.timeZoneSource) || has(self.timeZone)",messageExpression="self.timeZoneSource + ' says who stated timeZone, and there is none: set timeZone, or take this away'",fieldPath=".timeZoneSource"
type CustomerConsentSpec struct {
	// optOut, when set, beats everything else in this record: nobody may contact
	// this customer for marketing. One field, so that one patch is enough.
	// +optional
	OptOut *OptOut `json:"optOut,omitempty"`

	// timeZone is where the customer's clock runs, a zone of the IANA database
	// such as Europe/Berlin; an offset is none. Unset: unknown, and then no rule
	// that needs a local time allows anything. It is never filled in from the
	// brand.
	// +optional
	TimeZone TimeZone `json:"timeZone,omitempty"`

	// timeZoneSource says who stated timeZone. Imported means that it was
	// derived from other data; a policy may refuse what was not Declared.
	// Unset counts as Imported.
	// +optional
	// +kubebuilder:validation:Enum=Declared;Imported
	TimeZoneSource string `json:"timeZoneSource,omitempty"`

	// jurisdiction is the country, or part of one, whose law protects the
	// customer, as an ISO 3166 code such as DE or US-CA. Quote "NO" in YAML:
	// unquoted it reads as false. Unset: unknown.
	// +optional
	Jurisdiction Jurisdiction `json:"jurisdiction,omitempty"`

	// language is the one in which the customer was asked, for example de or
	// fr-CA. Unset: unknown.
	// +optional
	Language Language `json:"language,omitempty"`

	// birthYear lets age rules work without a birthday: the younger of the two
	// possible ages counts. Unset: the age is unknown.
	// +optional
	// +kubebuilder:validation:Minimum=1900
	// +kubebuilder:validation:Maximum=2200
	BirthYear *int32 `json:"birthYear,omitempty"`

	// guardian is who answered for a minor. Unset: nobody did.
	// +optional
	Guardian *Guardian `json:"guardian,omitempty"`

	// lifeStage is where in life the customer stands, as declared or imported.
	// Unset: unknown.
	// +optional
	LifeStage LifeStage `json:"lifeStage,omitempty"`

	// pause stops every marketing contact in [from, until).
	// +optional
	Pause *Pause `json:"pause,omitempty"`

	// quietHours are times of the customer's own clock without any contact; those
	// that overlap are united. Unset: none of the customer's own.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=14
	QuietHours []DailyWindow `json:"quietHours,omitempty"`

	// contactWindows, when not empty, are the only times of the customer's own
	// clock at which the customer wants to be contacted; quiet hours inside them
	// stay quiet. Unset: any time.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=14
	ContactWindows []DailyWindow `json:"contactWindows,omitempty"`

	// caps are the customer's own ceilings over all brands.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Caps []FrequencyCap `json:"caps,omitempty"`

	// blockedTopics are subjects that no brand may write about.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	BlockedTopics []Topic `json:"blockedTopics,omitempty"`

	// lifeEvents are changes in the customer's life that the customer declared.
	// +optional
	// +listType=map
	// +listMapKey=eventType
	// +listMapKey=eventDate
	// +kubebuilder:validation:MaxItems=16
	LifeEvents []LifeEvent `json:"lifeEvents,omitempty"`

	// relationships are the brands with which the customer wants to deal.
	// A brand that is not listed may not contact the customer at all.
	// +optional
	// +listType=map
	// +listMapKey=brand
	// +kubebuilder:validation:MaxItems=32
	Relationships []Relationship `json:"relationships,omitempty"`
}

// OptOut is a withdrawal from all marketing.
type OptOut struct {
	// since is when the customer said so. The opt-out counts at once, even where
	// since lies in the future: it records the fact and delays nothing.
	// +required
	Since metav1.Time `json:"since"`

	// source is the channel over which it was said.
	// +optional
	// +kubebuilder:validation:Enum=PreferenceCentre;OneClickUnsubscribe;CustomerService;BrowserSignal;Import
	Source string `json:"source,omitempty"`
}

// Guardian is who answers for a minor.
type Guardian struct {
	// ref is the guardian's own principal id.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')`,message=`write the guardian's own principal id: lower-case letters, digits and -`
	Ref string `json:"ref"`

	// authorizedAt is when the guardian authorised the minor's answers. Unset:
	// not authorised.
	// +optional
	AuthorizedAt *metav1.Time `json:"authorizedAt,omitempty"`
}

// Pause is a holiday from marketing: [from, until).
// +kubebuilder:validation:XValidation:rule="self.until > self.from",messageExpression="'%s is not later than from, %s: the pause would be empty'.format([self.until, self.from])",fieldPath=".until"
type Pause struct {
	// from is the first instant of the pause.
	// +required
	From metav1.Time `json:"from"`
	// until is the first instant after the pause.
	// +required
	Until metav1.Time `json:"until"`
}

// FrequencyCap is a ceiling on contacts, not a target.
// +kubebuilder:validation:XValidation:rule="self.window != 'Rolling' || (has(self.length) && !has(self.zone))",message="a Rolling window needs length, for example 168h, and takes no zone",fieldPath=".length"
// +kubebuilder:validation:XValidation:rule="self.window == 'Rolling' || (has(self.zone) && !has(self.length))",messageExpression="'a ' + self.window + ' window needs zone, for example Europe/Berlin, and takes no length'",fieldPath=".zone"
type FrequencyCap struct {
	// name tells this cap from the customer's others.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')`,message=`write lower-case letters, digits and -, for example mine`
	Name string `json:"name"`

	// max is the greatest number of contacts in the window; 0 allows none.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Max int32 `json:"max"`

	// window says how time is measured: Rolling looks back length from the
	// moment of the contact; CalendarDay starts at midnight in zone; CalendarWeek
	// starts on Monday at midnight in zone.
	// +required
	Window CapWindow `json:"window"`

	// length of a Rolling window in hours, for example 168h.
	// +optional
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[1-9][0-9]{0,3}h$')`,message=`write whole hours, for example 168h for seven days`
	Length string `json:"length,omitempty"`

	// zone in which a calendar window begins.
	// +optional
	Zone TimeZone `json:"zone,omitempty"`

	// counts are the classes of contacts that count against the cap: Marketing,
	// Service (invoices, recalls), or both.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	Counts []PurposeClass `json:"counts"`

	// channels are the channels that count; empty: all of them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	Channels []Channel `json:"channels,omitempty"`
}

// LifeEvent is something that happened in a customer's life.
// +kubebuilder:validation:XValidation:rule="!has(self.expirationDate) || self.expirationDate > self.eventDate",messageExpression="'%s is not later than eventDate, %s: nobody could ever use it'.format([self.expirationDate, self.eventDate])",fieldPath=".expirationDate"
type LifeEvent struct {
	// eventType is what happened.
	// +required
	EventType LifeEventType `json:"eventType"`
	// eventDate is the day it happened.
	// +required
	EventDate Date `json:"eventDate"`
	// expirationDate is the first day on which nobody may use it any more.
	// Unset: until the customer takes it away.
	// +optional
	ExpirationDate Date `json:"expirationDate,omitempty"`
}

// Relationship is what one customer allows one brand.
type Relationship struct {
	// brand is the name of a Brand.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')`,message=`write a Brand's name: lower-case letters, digits and -, for example acme`
	Brand string `json:"brand"`

	// depth is how far the brand may go, each step including those before it:
	// Basic (what the customer asked for), Analytics (counts over many people),
	// Tracking (what this person did), Profiling (picking this person by what is
	// known). They map to the IEEE 7012 agreements SD-BASE, -A, -AT, -ATP.
	// Unset: Basic.
	// +optional
	// +kubebuilder:default=Basic
	Depth Depth `json:"depth,omitempty"`

	// objections are purposes that the customer objected to (GDPR article 21).
	// An objection beats a grant of any date.
	// +optional
	// +listType=map
	// +listMapKey=purpose
	// +kubebuilder:validation:MaxItems=12
	Objections []Objection `json:"objections,omitempty"`

	// caps are ceilings on what this brand alone may send.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=4
	Caps []FrequencyCap `json:"caps,omitempty"`

	// reward is what the customer gets in return.
	// +optional
	Reward *Reward `json:"reward,omitempty"`

	// grants are the customer's answers, one for each purpose and channel.
	// +optional
	// +listType=map
	// +listMapKey=purpose
	// +listMapKey=channel
	// +kubebuilder:validation:MaxItems=12
	Grants []Grant `json:"grants,omitempty"`
}

// Objection is a customer's no to a purpose, whatever its legal basis.
type Objection struct {
	// purpose that the customer objects to.
	// +required
	Purpose Purpose `json:"purpose"`
	// since is when the customer objected. It counts at once.
	// +required
	Since metav1.Time `json:"since"`
}

// Reward is what a customer gets for a relationship, as it was promised.
type Reward struct {
	// statement says it in the words that the customer read.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Statement string `json:"statement"`
	// value says what it is worth, for example EUR 40 a year.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Value string `json:"value,omitempty"`
}

// CustomerConsentStatus is what the answers amount to now.
type CustomerConsentStatus struct {
	// observedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// summary is one word: Given (somebody may contact the customer for
	// something), Paused, OptedOut or None.
	// +optional
	// +kubebuilder:validation:Enum=Given;Paused;OptedOut;None
	Summary string `json:"summary,omitempty"`

	// brandsGiven counts the brands with at least one answer that counts now.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BrandsGiven *int32 `json:"brandsGiven,omitempty"`

	// nextChange is the first instant at which this status changes by itself.
	// Unset: never.
	// +optional
	NextChange *metav1.Time `json:"nextChange,omitempty"`

	// brands says for each brand what the answers to it amount to now.
	// +optional
	// +listType=map
	// +listMapKey=brand
	// +kubebuilder:validation:MaxItems=32
	Brands []BrandStanding `json:"brands,omitempty"`

	// conditions: Ready is True once this status speaks of the latest spec.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BrandStanding is what the answers to one brand amount to now.
type BrandStanding struct {
	// brand is the name of the Brand.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Brand string `json:"brand"`

	// state is the best that any answer amounts to: Given, Pending (asked or not
	// yet effective), Expired, Withdrawn, Refused or None.
	// +required
	// +kubebuilder:validation:Enum=Given;Pending;Expired;Withdrawn;Refused;None
	State string `json:"state"`

	// channels over which the brand may contact the customer for something.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	Channels []Channel `json:"channels,omitempty"`

	// until is when this changes by itself. Unset: never.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
}

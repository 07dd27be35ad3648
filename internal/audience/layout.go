package audience

// Kind says how a field is kept.
type Kind int

const (
	// None: the field is not in the columns.
	None Kind = iota
	// ID: an id of a dictionary, whose values are those of Go's field.
	ID
	// Int: an integer.
	Int
	// Array: elements, each with fields of its own.
	Array
)

// Field says where a field of decision.Subject is in the columns.
type Field struct {
	Kind   Kind
	Column int // or the array's number
}

// The arrays.
const (
	grants = iota
	objections
	sent
	events
	caps
	arrays
)

// The columns of ids. Those of an array's elements are named after it.
const (
	timeZone = iota
	timeZoneSource
	jurisdiction
	language
	birthYear
	guardian
	lifeStage
	quietHours
	contactWindows
	blockedTopics
	lifeEvents
	depth
	capOf
	objectionPurpose
	grantPurpose
	grantChannel
	grantTopics
	grantStatus
	grantType
	grantBasis
	grantSource
	grantNotice
	grantEvent
	sentBrand
	sentPurpose
	sentClass
	sentChannel
	sentTopic
	eventType
	eventBrand
	eventChannel
	ids
)

// The columns of integers.
const (
	optOutSince = iota
	authorizedAt
	pauseFrom
	pauseUntil
	bucket
	objectionSince
	grantCaptured
	grantConfirmed
	grantFrom
	grantTo
	grantEventDate
	sentAt
	eventAt
	ints
)

// Fields are the places of the fields, by their path as policies name it, with *
// for any element. Where a field holds more than one value, such as quietHours or
// a cap, all of it is one value of its column.
var Fields = map[string]Field{
	"customer.timeZone":           {ID, timeZone},
	"customer.timeZoneSource":     {ID, timeZoneSource},
	"customer.jurisdiction":       {ID, jurisdiction},
	"customer.language":           {ID, language},
	"customer.birthYear":          {ID, birthYear},
	"customer.lifeStage":          {ID, lifeStage},
	"customer.quietHours":         {ID, quietHours},
	"customer.contactWindows":     {ID, contactWindows},
	"customer.blockedTopics":      {ID, blockedTopics},
	"customer.lifeEvents":         {ID, lifeEvents},
	"customer.relationship.depth": {ID, depth},

	"customer.optOut.since":          {Int, optOutSince},
	"customer.guardian.authorizedAt": {Int, authorizedAt},
	"customer.pause.from":            {Int, pauseFrom},
	"customer.pause.until":           {Int, pauseUntil},
	"customer.bucket":                {Int, bucket},

	"customer.caps":   {Array, caps},
	"customer.caps.*": {ID, capOf},

	"customer.relationship.objections":           {Array, objections},
	"customer.relationship.objections.*.purpose": {ID, objectionPurpose},
	"customer.relationship.objections.*.since":   {Int, objectionSince},

	"customer.relationship.grants":                            {Array, grants},
	"customer.relationship.grants.*.purpose":                  {ID, grantPurpose},
	"customer.relationship.grants.*.channel":                  {ID, grantChannel},
	"customer.relationship.grants.*.topics":                   {ID, grantTopics},
	"customer.relationship.grants.*.status":                   {ID, grantStatus},
	"customer.relationship.grants.*.consentType":              {ID, grantType},
	"customer.relationship.grants.*.legalBasis":               {ID, grantBasis},
	"customer.relationship.grants.*.captureSource":            {ID, grantSource},
	"customer.relationship.grants.*.noticeVersion":            {ID, grantNotice},
	"customer.relationship.grants.*.impliedBy.event":          {ID, grantEvent},
	"customer.relationship.grants.*.captureDate":              {Int, grantCaptured},
	"customer.relationship.grants.*.doubleConsentCaptureDate": {Int, grantConfirmed},
	"customer.relationship.grants.*.effectiveFrom":            {Int, grantFrom},
	"customer.relationship.grants.*.effectiveTo":              {Int, grantTo},
	"customer.relationship.grants.*.impliedBy.eventDate":      {Int, grantEventDate},

	"contacts.sent":           {Array, sent},
	"contacts.sent.*.at":      {Int, sentAt},
	"contacts.sent.*.brand":   {ID, sentBrand},
	"contacts.sent.*.purpose": {ID, sentPurpose},
	"contacts.sent.*.class":   {ID, sentClass},
	"contacts.sent.*.channel": {ID, sentChannel},
	"contacts.sent.*.topic":   {ID, sentTopic},

	"contacts.events":           {Array, events},
	"contacts.events.*.type":    {ID, eventType},
	"contacts.events.*.at":      {Int, eventAt},
	"contacts.events.*.brand":   {ID, eventBrand},
	"contacts.events.*.channel": {ID, eventChannel},
}

// Presence says which column has a value exactly where an object is there, for
// the objects that may be absent.
var Presence = map[string]Field{
	"customer.optOut":                          {Int, optOutSince},
	"customer.guardian":                        {ID, guardian},
	"customer.pause":                           {Int, pauseFrom},
	"customer.relationship":                    {ID, depth},
	"customer.relationship.grants.*.impliedBy": {ID, grantEvent},
}

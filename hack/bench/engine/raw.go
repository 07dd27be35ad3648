package main

import (
	"fmt"
	"math"
	"slices"

	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// id is how wide the dictionaries of this measurement need their ids to be.
type id = uint8

// rawChunk is a chunk as the expert reads it: the very same bytes, with the widths
// that this data has written into the types. What is the same for a whole chunk
// takes no space there; here all such chunks share one piece of memory.
type rawChunk struct {
	rows int

	timeZone, birthYear, lifeStage, quietHours, contactWindows, blockedTopics, depth []id
	optOut, authorizedAt, pauseFrom, pauseUntil                                      times

	capsAt []uint16
	cap    []id

	objectionsAt     []uint16
	objectionPurpose []id
	objectionSince   times

	grantsAt                                                                                []uint16
	grantPurpose, grantChannel, grantTopics, grantStatus, grantType, grantBasis, grantEvent []id
	grantCaptured, grantConfirmed, grantFrom, grantTo, grantEventDate                       times

	sentAt                            []uint16
	sentBrand, sentClass, sentChannel []id
	sentWhen                          times

	eventsAt                            []uint16
	eventType, eventBrand, eventChannel []id
	eventAt                             times
}

// times are instants as codes; 0 is absent.
type times struct {
	codes      []uint32
	unit, base int64
}

// at is the instant of a row or element, expr.Missing where there is none.
func (t *times) at(i int) int64 {
	code := t.codes[i]
	if code == 0 {
		return expr.Missing
	}
	return t.base + t.unit*int64(code)
}

// reader turns chunks into raw ones.
type reader struct {
	ids map[id][]id // of chunks in which all are the same
	err error
}

const none = math.MaxUint16

func (r *reader) column(c *decision.Chunk, path string) []id {
	f := audience.Fields[path]
	if f.Kind != audience.ID {
		r.fail(path, "is no column of ids")
		return nil
	}
	switch col := c.Columns.IDs[f.Column]; {
	case col.U8 != nil:
		return col.U8
	case col.U16 != nil, col.U32 != nil:
		r.fail(path, "has more than 255 values")
		return nil
	default:
		return r.same(id(col.Same))
	}
}

// same is an id again and again.
func (r *reader) same(of id) []id {
	if r.ids == nil {
		r.ids = map[id][]id{}
	}
	if r.ids[of] == nil {
		r.ids[of] = slices.Repeat([]id{of}, none)
	}
	return r.ids[of]
}

func (r *reader) offsets(c *decision.Chunk, path string) []uint16 {
	f := audience.Fields[path]
	if f.Kind != audience.Array {
		r.fail(path, "is no array")
		return nil
	}
	col := c.Columns.Arrays[f.Column]
	if col.U16 != nil {
		return col.U16
	}
	out := make([]uint16, c.Columns.Rows+1)
	for i := range out {
		at := col.At(i)
		if at >= none {
			r.fail(path, "has too many elements for a chunk")
			return nil
		}
		out[i] = uint16(at)
	}
	return out
}

func (r *reader) times(c *decision.Chunk, path string, n int) times {
	f := audience.Fields[path]
	if f.Kind != audience.Int {
		r.fail(path, "is no column of numbers")
		return times{}
	}
	col := c.Columns.Ints[f.Column]
	if col.U32 != nil {
		return times{codes: col.U32, unit: col.Unit, base: col.Base}
	}
	t := times{codes: make([]uint32, n), unit: 1, base: -1}
	for i := range t.codes {
		switch {
		case col.U8 != nil:
			t.codes[i], t.unit, t.base = uint32(col.U8[i]), col.Unit, col.Base
		case col.U16 != nil:
			t.codes[i], t.unit, t.base = uint32(col.U16[i]), col.Unit, col.Base
		case col.I64 != nil:
			r.fail(path, "has numbers that are not narrow")
			return t
		case col.Same != expr.Missing:
			t.codes[i], t.base = 1, col.Same-1
		}
	}
	return t
}

func (r *reader) fail(path, why string) {
	if r.err == nil {
		r.err = fmt.Errorf("the expert's loop can't read %s: it %s", path, why)
	}
}

// raw are the columns that the policy reads.
func (r *reader) raw(c *decision.Chunk) rawChunk {
	ids := func(path string) []id { return r.column(c, path) }
	rows := c.Columns.Rows
	out := rawChunk{
		rows:     rows,
		timeZone: ids("customer.timeZone"), birthYear: ids("customer.birthYear"), lifeStage: ids("customer.lifeStage"),
		quietHours: ids("customer.quietHours"), contactWindows: ids("customer.contactWindows"), blockedTopics: ids("customer.blockedTopics"),
		depth: ids("customer.relationship.depth"), cap: ids("customer.caps.*"),
		objectionPurpose: ids("customer.relationship.objections.*.purpose"),
		grantPurpose:     ids("customer.relationship.grants.*.purpose"), grantChannel: ids("customer.relationship.grants.*.channel"),
		grantTopics: ids("customer.relationship.grants.*.topics"), grantStatus: ids("customer.relationship.grants.*.status"),
		grantType: ids("customer.relationship.grants.*.consentType"), grantBasis: ids("customer.relationship.grants.*.legalBasis"),
		grantEvent: ids("customer.relationship.grants.*.impliedBy.event"),
		sentBrand:  ids("contacts.sent.*.brand"), sentClass: ids("contacts.sent.*.class"), sentChannel: ids("contacts.sent.*.channel"),
		eventType: ids("contacts.events.*.type"), eventBrand: ids("contacts.events.*.brand"), eventChannel: ids("contacts.events.*.channel"),
		capsAt: r.offsets(c, "customer.caps"), objectionsAt: r.offsets(c, "customer.relationship.objections"),
		grantsAt: r.offsets(c, "customer.relationship.grants"), sentAt: r.offsets(c, "contacts.sent"), eventsAt: r.offsets(c, "contacts.events"),
	}
	if r.err != nil {
		return out
	}
	of := func(path string, n int) times { return r.times(c, path, n) }
	out.optOut, out.authorizedAt = of("customer.optOut.since", rows), of("customer.guardian.authorizedAt", rows)
	out.pauseFrom, out.pauseUntil = of("customer.pause.from", rows), of("customer.pause.until", rows)
	grants := int(out.grantsAt[rows])
	out.objectionSince = of("customer.relationship.objections.*.since", int(out.objectionsAt[rows]))
	out.grantCaptured, out.grantConfirmed = of("customer.relationship.grants.*.captureDate", grants), of("customer.relationship.grants.*.doubleConsentCaptureDate", grants)
	out.grantFrom, out.grantTo = of("customer.relationship.grants.*.effectiveFrom", grants), of("customer.relationship.grants.*.effectiveTo", grants)
	out.grantEventDate = of("customer.relationship.grants.*.impliedBy.eventDate", grants)
	out.sentWhen, out.eventAt = of("contacts.sent.*.at", int(out.sentAt[rows])), of("contacts.events.*.at", int(out.eventsAt[rows]))
	return out
}

// dictionariesOf are those that the expert's tables are made of.
func dictionariesOf(c *decision.Chunk) dictionaries {
	d := func(path string) *expr.Dict { return c.Dicts[audience.Fields[path].Column] }
	grant := func(field string) *expr.Dict { return d("customer.relationship.grants.*." + field) }
	return dictionaries{
		timeZone: d("customer.timeZone"), birthYear: d("customer.birthYear"), lifeStage: d("customer.lifeStage"),
		quietHours: d("customer.quietHours"), contactWindows: d("customer.contactWindows"), blockedTopics: d("customer.blockedTopics"),
		depth: d("customer.relationship.depth"), cap: d("customer.caps.*"), objectionPurpose: d("customer.relationship.objections.*.purpose"),
		grantPurpose: grant("purpose"), grantChannel: grant("channel"), grantTopics: grant("topics"), grantStatus: grant("status"),
		grantType: grant("consentType"), grantBasis: grant("legalBasis"), grantEvent: grant("impliedBy.event"),
		sentBrand: d("contacts.sent.*.brand"), sentClass: d("contacts.sent.*.class"), sentChannel: d("contacts.sent.*.channel"),
		eventType: d("contacts.events.*.type"), eventBrand: d("contacts.events.*.brand"), eventChannel: d("contacts.events.*.channel"),
	}
}

package audience

import (
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// reading reads a row back.
type reading struct {
	columns *expr.Columns
	dicts   []*expr.Dict
}

// value of an id column at a row or element; the zero value where there is none.
func value[T any](r *reading, column, at int) T {
	v, _ := r.dicts[column].Value(r.columns.IDs[column].At(at)).(T)
	return v
}

func (r *reading) text(column, at int) string { return value[string](r, column, at) }

func (r *reading) int(column, at int) int64 { return r.columns.Ints[column].At(at) }

func (r *reading) maybe(column, at int) *int64 {
	v := r.int(column, at)
	if v == expr.Missing {
		return nil
	}
	return &v
}

// person in a row with regard to a brand, without a bucket.
func (c *chunk) person(dicts []*expr.Dict, row int, brand string) consent.Person {
	e := c.kept[row]
	if e == nil {
		r := reading{columns: c.view(brand), dicts: dicts}
		return r.person(row)
	}
	if p, ok := e.persons[brand]; ok {
		return p
	}
	return e.persons[""]
}

// past of who is in a row.
func (c *chunk) past(dicts []*expr.Dict, row int) decision.Contacts {
	if e := c.kept[row]; e != nil {
		return e.past
	}
	r := reading{columns: c.base, dicts: dicts}
	return r.contacts(row)
}

func (r *reading) person(row int) consent.Person {
	p := consent.Person{
		TimeZone:       r.text(timeZone, row),
		TimeZoneSource: r.text(timeZoneSource, row),
		Jurisdiction:   r.text(jurisdiction, row),
		Language:       r.text(language, row),
		LifeStage:      r.text(lifeStage, row),
		QuietHours:     value[[]consent.Window](r, quietHours, row),
		ContactWindows: value[[]consent.Window](r, contactWindows, row),
		BlockedTopics:  value[[]string](r, blockedTopics, row),
		LifeEvents:     value[[]consent.LifeEvent](r, lifeEvents, row),
	}
	if y, ok := r.dicts[birthYear].Value(r.columns.IDs[birthYear].At(row)).(int32); ok {
		p.BirthYear = &y
	}
	if r.columns.IDs[guardian].At(row) != expr.Absent {
		p.Guardian = &consent.Guardian{AuthorizedAt: r.maybe(authorizedAt, row)}
	}
	if since := r.maybe(optOutSince, row); since != nil {
		p.OptOut = &consent.Since{Since: *since}
	}
	if from := r.maybe(pauseFrom, row); from != nil {
		p.Pause = &consent.Span{From: *from, Until: r.int(pauseUntil, row)}
	}
	lo, hi := branded.arrays[0].span(r.columns, row)
	for e := lo; e < hi; e++ {
		p.Caps = append(p.Caps, value[consent.Cap](r, capOf, e))
	}
	if r.columns.IDs[depth].At(row) != expr.Absent {
		p.Relationship = r.relationship(row)
	}
	return p
}

func (r *reading) relationship(row int) *consent.Relationship {
	out := &consent.Relationship{Depth: r.text(depth, row)}
	lo, hi := branded.arrays[1].span(r.columns, row)
	for e := lo; e < hi; e++ {
		out.Objections = append(out.Objections, consent.Objection{Purpose: r.text(objectionPurpose, e), Since: r.int(objectionSince, e)})
	}
	lo, hi = branded.arrays[2].span(r.columns, row)
	for e := lo; e < hi; e++ {
		out.Grants = append(out.Grants, r.grant(e))
	}
	return out
}

func (r *reading) grant(e int) consent.Grant {
	g := consent.Grant{
		Purpose:                  r.text(grantPurpose, e),
		Channel:                  r.text(grantChannel, e),
		Topics:                   value[[]string](r, grantTopics, e),
		Status:                   r.text(grantStatus, e),
		ConsentType:              r.text(grantType, e),
		LegalBasis:               r.text(grantBasis, e),
		CaptureSource:            r.text(grantSource, e),
		NoticeVersion:            r.text(grantNotice, e),
		CaptureDate:              r.int(grantCaptured, e),
		DoubleConsentCaptureDate: r.maybe(grantConfirmed, e),
		EffectiveFrom:            r.int(grantFrom, e),
		EffectiveTo:              r.maybe(grantTo, e),
	}
	if r.columns.IDs[grantEvent].At(e) != expr.Absent {
		g.ImpliedBy = &consent.ImpliedBy{Event: r.text(grantEvent, e), EventDate: r.int(grantEventDate, e)}
	}
	return g
}

func (r *reading) contacts(row int) decision.Contacts {
	var c decision.Contacts
	lo, hi := history.arrays[0].span(r.columns, row)
	for e := lo; e < hi; e++ {
		c.Sent = append(c.Sent, decision.Contact{
			At: r.int(sentAt, e), Brand: r.text(sentBrand, e), Purpose: r.text(sentPurpose, e),
			Class: r.text(sentClass, e), Channel: r.text(sentChannel, e), Topic: r.text(sentTopic, e),
		})
	}
	lo, hi = history.arrays[1].span(r.columns, row)
	for e := lo; e < hi; e++ {
		c.Events = append(c.Events, decision.Event{
			Type: r.text(eventType, e), At: r.int(eventAt, e), Brand: r.text(eventBrand, e), Channel: r.text(eventChannel, e),
		})
	}
	return c
}

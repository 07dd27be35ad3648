package audience

import (
	"encoding/binary"

	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// Columns keep what policies see of many customers, with regard to one brand,
// field by field. They are not safe for use by several goroutines while rows are
// added.
type Columns struct {
	expr.Columns
	Dicts []*expr.Dict // by column of ids

	odd []int // rows that columns can't hold exactly, ascending
	key []byte
}

// NewColumns makes columns without rows.
func NewColumns() *Columns {
	c := &Columns{Columns: *expr.NewColumns(ids, ints, arrays), Dicts: make([]*expr.Dict, ids)}
	for i := range c.Dicts {
		c.Dicts[i] = expr.NewDict()
	}
	return c
}

// Reset takes out all rows; the dictionaries stay.
func (c *Columns) Reset() {
	c.Columns.Reset()
	c.odd = c.odd[:0]
}

// Odd are the rows that columns can't hold exactly: who needs an answer for
// them looks at the Subject itself.
func (c *Columns) Odd() []int { return c.odd }

// Values is how many values the dictionaries hold.
func (c *Columns) Values() int {
	n := 0
	for _, d := range c.Dicts {
		n += d.Len()
	}
	return n
}

// Add puts a customer into the next row.
func (c *Columns) Add(s *decision.Subject) {
	c.person(&s.Person)
	c.int(bucket, int64(s.Person.Bucket))
	c.past(&s.Contacts)
	c.relationship(&s.Person)
	c.Rows++
}

func (c *Columns) person(p *consent.Person) {
	c.word(timeZone, p.TimeZone)
	c.word(timeZoneSource, p.TimeZoneSource)
	c.word(jurisdiction, p.Jurisdiction)
	c.word(language, p.Language)
	c.word(lifeStage, p.LifeStage)
	c.year(p.BirthYear)
	c.put(guardian, p.Guardian != nil, func(k []byte) []byte { return k }, func() any { return true })
	c.windows(quietHours, p.QuietHours)
	c.windows(contactWindows, p.ContactWindows)
	c.words(blockedTopics, p.BlockedTopics)
	c.put(lifeEvents, len(p.LifeEvents) > 0, func(k []byte) []byte {
		for _, e := range p.LifeEvents {
			k = instant(binary.AppendVarint(text(k, e.EventType), e.EventDate), e.ExpirationDate)
		}
		return k
	}, func() any { return p.LifeEvents })
	var since, authorized, from, until *int64
	if p.OptOut != nil {
		since = &p.OptOut.Since
	}
	if p.Guardian != nil {
		authorized = p.Guardian.AuthorizedAt
	}
	if p.Pause != nil {
		from, until = &p.Pause.From, &p.Pause.Until
	}
	c.maybe(optOutSince, since)
	c.maybe(authorizedAt, authorized)
	c.maybe(pauseFrom, from)
	c.maybe(pauseUntil, until)
}

// relationship is what regards the campaign's brand: caps do, too.
func (c *Columns) relationship(p *consent.Person) {
	defer c.end(&branded)
	for i := range p.Caps {
		c.cap(&p.Caps[i])
	}
	r := p.Relationship
	if r == nil {
		c.IDs[depth].Append(expr.Absent)
		return
	}
	c.text(depth, r.Depth)
	for i := range r.Objections {
		c.text(objectionPurpose, r.Objections[i].Purpose)
		c.int(objectionSince, r.Objections[i].Since)
	}
	for i := range r.Grants {
		c.grant(&r.Grants[i])
	}
}

func (c *Columns) grant(g *consent.Grant) {
	c.text(grantPurpose, g.Purpose)
	c.text(grantChannel, g.Channel)
	c.words(grantTopics, g.Topics)
	c.text(grantStatus, g.Status)
	c.text(grantType, g.ConsentType)
	c.text(grantBasis, g.LegalBasis)
	c.word(grantSource, g.CaptureSource)
	c.word(grantNotice, g.NoticeVersion)
	c.int(grantCaptured, g.CaptureDate)
	c.maybe(grantConfirmed, g.DoubleConsentCaptureDate)
	c.int(grantFrom, g.EffectiveFrom)
	c.maybe(grantTo, g.EffectiveTo)
	if g.ImpliedBy == nil {
		c.IDs[grantEvent].Append(expr.Absent)
		c.maybe(grantEventDate, nil)
		return
	}
	c.text(grantEvent, g.ImpliedBy.Event)
	c.int(grantEventDate, g.ImpliedBy.EventDate)
}

func (c *Columns) past(p *decision.Contacts) {
	defer c.end(&history)
	for i := range p.Sent {
		s := &p.Sent[i]
		c.int(sentAt, s.At)
		c.text(sentBrand, s.Brand)
		c.word(sentPurpose, s.Purpose)
		c.text(sentClass, s.Class)
		c.text(sentChannel, s.Channel)
		c.word(sentTopic, s.Topic)
	}
	for i := range p.Events {
		e := &p.Events[i]
		c.text(eventType, e.Type)
		c.int(eventAt, e.At)
		c.word(eventBrand, e.Brand)
		c.word(eventChannel, e.Channel)
	}
}

// text that is always there, even empty.
func (c *Columns) text(column int, s string) {
	c.IDs[column].Append(c.Dicts[column].Text(s))
}

// word is text that is absent where it is empty.
func (c *Columns) word(column int, s string) {
	if s == "" {
		c.IDs[column].Append(expr.Absent)
		return
	}
	c.text(column, s)
}

// put is a value that is told from others by its key.
func (c *Columns) put(column int, there bool, key func([]byte) []byte, value func() any) {
	id := expr.Absent
	if there {
		c.key = key(c.key[:0])
		id = c.Dicts[column].ID(c.key, value)
	}
	c.IDs[column].Append(id)
}

func (c *Columns) year(y *int32) {
	c.put(birthYear, y != nil, func(k []byte) []byte { return binary.AppendVarint(k, int64(*y)) }, func() any { return *y })
}

func (c *Columns) words(column int, words []string) {
	c.put(column, len(words) > 0, func(k []byte) []byte { return texts(k, words) }, func() any { return words })
}

func (c *Columns) windows(column int, ws []consent.Window) {
	c.put(column, len(ws) > 0, func(k []byte) []byte {
		for _, w := range ws {
			k = binary.AppendVarint(binary.AppendVarint(texts(k, w.Days), int64(w.Start)), int64(w.End))
		}
		return k
	}, func() any { return ws })
}

func (c *Columns) cap(p *consent.Cap) {
	c.put(capOf, true, func(k []byte) []byte {
		k = binary.AppendVarint(text(text(k, p.Name), p.Brand), int64(p.Max))
		k = text(binary.AppendVarint(text(k, p.Window), p.Length), p.Zone)
		return texts(texts(k, p.Counts), p.Channels)
	}, func() any { return *p })
}

// int that is always there. What stands for absence can't be kept.
func (c *Columns) int(column int, v int64) {
	if v == expr.Missing && (len(c.odd) == 0 || c.odd[len(c.odd)-1] != c.Rows) {
		c.odd = append(c.odd, c.Rows)
	}
	c.Ints[column].Append(v)
}

func (c *Columns) maybe(column int, v *int64) {
	if v == nil {
		c.Ints[column].Append(expr.Missing)
		return
	}
	c.int(column, *v)
}

// text, texts and instant write keys so that different values never have the
// same.
func text(k []byte, s string) []byte {
	return append(binary.AppendUvarint(k, uint64(len(s))), s...)
}

func texts(k []byte, words []string) []byte {
	k = binary.AppendUvarint(k, uint64(len(words)))
	for _, w := range words {
		k = text(k, w)
	}
	return k
}

func instant(k []byte, v *int64) []byte {
	if v == nil {
		return append(k, 0)
	}
	return binary.AppendVarint(append(k, 1), *v)
}

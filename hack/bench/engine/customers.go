package main

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/importer"
)

// brand is who asks; globex is a brand of the same platform.
const (
	brand = "acme"
	other = "globex"
)

// now is a Monday, noon in Berlin.
var now = time.Date(2026, 6, 15, 10, 0, 0, 0, time.UTC)

// bank reads what the customers are drawn from: 41,188 people of a real bank.
func bank(path string) ([]importer.Row, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the data set: %w", err)
	}
	defer f.Close() // read only
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", path, err)
	}
	var rows []importer.Row
	err = importer.Read(z, func(r importer.Row) error { rows = append(rows, r); return nil })
	return rows, err
}

// crowd draws customers: age, job and number of calls as the bank had them,
// and what the bank did not ask (answers, zones, wishes) made up, with one in
// twenty to one in a hundred of all optional fields absent.
type crowd struct {
	rand *rand.Rand
	rows []importer.Row
}

func newCrowd(seed uint64, rows []importer.Row) *crowd {
	return &crowd{rand: rand.New(rand.NewPCG(seed, 41188)), rows: rows}
}

func (c *crowd) one(percent int) bool { return c.rand.IntN(100) < percent }

func pick[T any](c *crowd, of []T) T { return of[c.rand.IntN(len(of))] }

// ago is up to so many days before now, at a full second.
func (c *crowd) ago(days int) int64 {
	return now.UnixNano() - int64(c.rand.IntN(days*86400))*int64(time.Second)
}

func (c *crowd) ahead(days int) int64 { return 2*now.UnixNano() - c.ago(days) }

var (
	zones     = []string{"Europe/Berlin", "Europe/Berlin", "Europe/Lisbon", "Europe/Athens", "Europe/London", "America/New_York", "America/Toronto", "Asia/Kolkata", "Asia/Tokyo"}
	channels  = []string{"Email", "Email", "SMS", "Phone", "Phone", "Post", "Push"}
	purposes  = []string{"Marketing", "Marketing", "Marketing", "Newsletter", "Survey"}
	topics    = []string{"Savings", "ConsumerCredit", "Garden", "Travel", "Insurance", "Gambling"}
	depths    = []string{"Basic", "Basic", "Analytics", "Tracking", "Profiling"}
	others    = []string{"ConsentUnknown", "ConsentRequested", "ConsentRefused", "ConsentExpired", "ConsentWithdrawn", "ConsentRevoked", "RenewedConsentGiven"}
	weekdays  = []string{"Mon", "Tue", "Wed", "Thu", "Fri"}
	everyday  = []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}
	nights    = [][]consent.Window{{{Days: everyday, Start: 21 * 60, End: 8 * 60}}, {{Days: weekdays, Start: 11 * 60, End: 14 * 60}}, {{Days: everyday, Start: 0, End: 420}, {Days: weekdays, Start: 1290, End: 1440}}}
	windows   = [][]consent.Window{{{Days: weekdays, Start: 9 * 60, End: 17 * 60}}, {{Days: []string{"Sat"}, Start: 9 * 60, End: 12 * 60}}}
	marketing = []string{"Marketing"}
	caps      = []consent.Cap{
		{Name: "month", Max: 4, Window: "Rolling", Length: int64(720 * time.Hour), Counts: marketing},
		{Name: "day", Brand: brand, Max: 1, Window: "CalendarDay", Zone: "Customer", Counts: marketing},
		{Name: "week", Max: 2, Window: "CalendarWeek", Zone: "Europe/Berlin", Counts: []string{"Marketing", "Service"}},
		{Name: "calls", Max: 1, Window: "Rolling", Length: int64(168 * time.Hour), Counts: marketing, Channels: []string{"Phone"}},
		{Name: "none", Brand: brand, Max: 0, Window: "Rolling", Length: int64(24 * time.Hour), Counts: marketing, Channels: []string{"SMS"}},
	}
	stages = map[string]string{
		"admin.": "Working", "blue-collar": "Working", "housemaid": "Working", "management": "Working", "services": "Working", "technician": "Working",
		"entrepreneur": "SelfEmployed", "self-employed": "SelfEmployed", "retired": "Retired", "student": "Student", "unemployed": "Unemployed",
	}
)

// draw makes the next customer.
func (c *crowd) draw() decision.Subject {
	r := pick(c, c.rows)
	year := int32(now.Year() - 1 - r.Age)
	s := decision.Subject{Person: consent.Person{
		TimeZone: pick(c, zones), TimeZoneSource: "Declared", Jurisdiction: pick(c, []string{"DE", "PT", "GR", "GB", "US", "CA", "IN", "JP"}),
		Language: pick(c, []string{"de", "en", "pt"}), BirthYear: &year, LifeStage: stages[r.Job],
	}}
	c.wishes(&s.Person)
	if !c.one(2) {
		s.Person.Relationship = c.relationship()
	} else {
		s.Person.Caps = slices.DeleteFunc(s.Person.Caps, func(own consent.Cap) bool { return own.Brand != "" })
	}
	if len(s.Person.Caps) == 0 {
		s.Person.Caps = nil
	}
	c.past(&s.Contacts, r)
	return s
}

// wishes are what some people want and some leave out.
func (c *crowd) wishes(p *consent.Person) {
	if c.one(2) {
		p.TimeZone = ""
	}
	if c.one(3) {
		p.BirthYear = nil
	}
	if c.one(2) { // whoever is a child has a guardian, or hasn't
		year := int32(now.Year() - 10 - c.rand.IntN(9))
		p.BirthYear, p.LifeStage = &year, "Student"
		if at := c.ago(400); c.one(50) {
			p.Guardian = &consent.Guardian{AuthorizedAt: &at}
		}
	}
	if c.one(4) {
		p.OptOut = &consent.Since{Since: c.ago(900)}
	}
	if c.one(5) {
		p.Pause = &consent.Span{From: c.ago(40), Until: c.ahead(40)}
	}
	if c.one(25) {
		p.QuietHours = pick(c, nights)
	}
	if c.one(10) {
		p.ContactWindows = pick(c, windows)
	}
	if c.one(10) {
		p.BlockedTopics = pick(c, [][]string{{"Gambling"}, {"ConsumerCredit", "Gambling"}, {"Savings"}})
	}
	if c.one(20) {
		p.Caps = []consent.Cap{pick(c, caps)}
	}
	if c.one(4) {
		p.Caps = []consent.Cap{caps[0], caps[2], caps[1]} // those of a brand come last
	}
}

func (c *crowd) relationship() *consent.Relationship {
	r := &consent.Relationship{Depth: pick(c, depths)}
	if c.one(4) {
		r.Objections = append(r.Objections, consent.Objection{Purpose: pick(c, []string{"DirectMarketing", "Profiling", "Survey"}), Since: c.ago(900)})
	}
	for range 1 + c.rand.IntN(3) {
		r.Grants = append(r.Grants, c.grant())
	}
	return r
}

// grant is an answer: four of five say yes.
func (c *crowd) grant() consent.Grant {
	captured := c.ago(1000)
	g := consent.Grant{
		Purpose: pick(c, purposes), Channel: pick(c, channels), Status: "ConsentGiven", ConsentType: "ExpressedConsent", LegalBasis: "Consent",
		CaptureDate: captured, CaptureSource: pick(c, []string{"Web", "Import", "Branch"}), EffectiveFrom: captured, NoticeVersion: pick(c, []string{"2024-1", "2025-1", "2026-1"}),
	}
	if c.one(20) {
		g.Status = pick(c, others)
	}
	if c.one(85) {
		at := captured + int64(c.rand.IntN(3600))*int64(time.Second)
		g.DoubleConsentCaptureDate = &at
	}
	if c.one(30) {
		to := captured + int64(2*365*24*time.Hour)
		g.EffectiveTo = &to
	}
	if c.one(2) {
		g.EffectiveFrom = c.ahead(60)
	}
	if c.one(5) {
		g.LegalBasis = pick(c, []string{"Contract", "LegitimateInterest"})
	}
	if c.one(20) {
		g.Topics = pick(c, [][]string{{"Savings"}, {"Savings", "Insurance"}, {"Garden", "Travel"}, {"ConsumerCredit", "Savings", "Travel"}})
	}
	if c.one(4) {
		g.ConsentType, g.DoubleConsentCaptureDate = "ImpliedConsent", nil
		if c.one(80) {
			g.ImpliedBy = &consent.ImpliedBy{Event: pick(c, []string{"Purchase", "Inquiry", "Contract"}), EventDate: captured}
		}
	}
	return g
}

// past are the bank's calls: newest first, as the ledger tells them.
func (c *crowd) past(p *decision.Contacts, r importer.Row) {
	at := now.UnixNano()
	for range r.Calls + r.Previous {
		at -= int64(1+c.rand.IntN(10*86400)) * int64(time.Second)
		if now.UnixNano()-at > int64(62*24*time.Hour) {
			break // further back than the longest cap looks
		}
		contact := decision.Contact{At: at, Brand: brand, Purpose: "Marketing", Class: "Marketing", Channel: pick(c, channels), Topic: pick(c, topics)}
		if c.one(15) {
			contact.Brand = other
		}
		if c.one(10) {
			contact.Purpose, contact.Class, contact.Topic = "Billing", "Service", ""
		}
		p.Sent = append(p.Sent, contact)
	}
	if r.Outcome == "success" || c.one(2) {
		p.Events = append(p.Events, decision.Event{Type: pick(c, []string{"Purchase", "Inquiry"}), At: c.ago(1000), Brand: brand})
	}
	if c.one(4) {
		p.Events = append(p.Events, decision.Event{Type: pick(c, []string{"HardBounce", "Complaint", "Unsubscribe"}), At: c.ago(500), Brand: brand, Channel: pick(c, channels)})
	}
}

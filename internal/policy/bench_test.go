package policy

import (
	"fmt"
	"testing"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/policies"
)

// everyRule is the whole library in one policy, beside the floor.
func everyRule(lib *Library) []Policy {
	p := Policy{Name: "baseline"}
	for _, r := range lib.Rules() {
		p.Rules = append(p.Rules, v1alpha1.RuleUse{Name: r.Name})
	}
	return []Policy{lib.Floor(), p}
}

// people are of all kinds: half of them consented, some have caps, quiet
// hours, pauses, contacts.
func people(n int) decision.Question {
	q := question(n)
	night := []consent.Window{{Days: []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}, Start: 21 * 60, End: 8 * 60}}
	captured := noon.Add(-1000 * time.Hour).UnixNano()
	year := int32(1980)
	for i := range q.Subjects {
		s := &q.Subjects[i]
		status := []string{"ConsentGiven", "ConsentUnknown", "ConsentGiven", "ConsentWithdrawn"}[i%4]
		s.Person = consent.Person{
			TimeZone: "Europe/Berlin", TimeZoneSource: "Declared", Jurisdiction: "DE", BirthYear: &year, QuietHours: night, Bucket: i % 10000,
			Caps: []consent.Cap{{Name: "week", Max: 3, Window: "CalendarWeek", Zone: "Europe/Berlin", Counts: []string{"Marketing"}}},
			Relationship: &consent.Relationship{Depth: "Basic", Grants: []consent.Grant{
				{Purpose: "Marketing", Channel: "Email", Status: status, ConsentType: "ExpressedConsent", LegalBasis: "Consent", CaptureDate: captured, EffectiveFrom: captured, DoubleConsentCaptureDate: &captured},
				{Purpose: "Marketing", Channel: "SMS", Status: "ConsentRefused", ConsentType: "ExpressedConsent", LegalBasis: "Consent", CaptureDate: captured, EffectiveFrom: captured},
			}},
		}
		for c := range i % 5 {
			s.Contacts.Sent = append(s.Contacts.Sent, decision.Contact{
				At: noon.Add(-time.Duration(c*20) * time.Hour).UnixNano(), Brand: "acme", Class: "Marketing", Channel: "Email",
			})
		}
	}
	return q
}

// BenchmarkJudge measures one customer under the floor and the whole library: in
// this process, and through worker processes.
func BenchmarkJudge(b *testing.B) {
	lib := load(b, policies.FS)
	ps := everyRule(lib)
	q := people(1024)
	b.Run("Interpreter", func(b *testing.B) {
		i, err := NewInterpreter(lib, ps)
		if err != nil {
			b.Fatal(err)
		}
		perCustomerOf(b, i, q)
	})
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("Sandbox-%d", workers), func(b *testing.B) {
			j, err := sandbox(b, lib, workerReal, Options{Workers: workers}).Load(b.Context(), ps)
			if err != nil {
				b.Fatal(err)
			}
			perCustomerOf(b, j, q)
		})
	}
}

func perCustomerOf(b *testing.B, j decision.Judge, q decision.Question) {
	for b.Loop() {
		if _, err := j.Judge(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(q.Subjects)), "ns/customer")
}

// BenchmarkDocument measures what of that is turning Go values into Rego's.
func BenchmarkDocument(b *testing.B) {
	q := people(16)
	a := newAsked(&q)
	for b.Loop() {
		a.input(&q.Subjects[4])
	}
}

// BenchmarkLint measures the whole of Lint on a policy of some size.
func BenchmarkLint(b *testing.B) {
	lib := load(b, policies.FS)
	spec := &v1alpha1.CampaignPolicySpec{Rego: policyOfSomeSize}
	for b.Loop() {
		if ps := lib.Lint("p", spec); len(ps) > 0 {
			b.Fatal(ps)
		}
	}
}

const policyOfSomeSize = `package codb.policy

import rego.v2

import data.codb.lib.grants

deny contains {"code": "ForeignCustomer", "message": "not in our countries"} if {
	not input.customer.jurisdiction in {"DE", "AT", "CH"}
}

deny contains {"code": "TooYoung", "message": "under 21"} if not adult

adult if input.customer.birthYear <= 2005

deny contains {"code": "JustMoved", "message": $"moved in {e.eventDate}"} if {
	some e in input.customer.lifeEvents
	e.eventType == "Relocation"
	e.eventDate > input.now - 2592000000000000
}

hold contains {"code": "NotBefore", "message": "the consent is young", "until": grants.starts(g) + 86400000000000} if {
	some i in grants.matching
	g := grants.all[i]
	input.now < grants.starts(g) + 86400000000000
}

wake contains grants.starts(grants.all[i]) + 86400000000000 if some i in grants.matching
`

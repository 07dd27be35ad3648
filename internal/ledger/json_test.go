package ledger

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/internal/contacts"
)

// What is read quickly is what encoding/json reads, and what it refuses is
// refused.
func FuzzReadJSON(f *testing.F) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 123456789, time.UTC)
	for _, r := range []Record{
		{},
		{Key: "permit/1", At: at, Principal: "c-1", Brand: "acme", Event: contacts.Sent},
		{
			Key: "permit/1/2", At: at, Principal: "c-1", Brand: "acme", Purpose: "Marketing", Class: "Marketing", Channel: "Email", Topic: "Sport",
			Event: contacts.Redeemed, Campaign: contacts.Campaign{Namespace: "acme-shop", Name: "spring", UID: "u", Generation: 12, Job: "j"},
			Permit: "p", State: contacts.StateRedeemed, PolicyDigest: "sha256:0", ConsentRevision: "cr-1", Until: at.Add(time.Minute), Pod: "pod", Detail: `250 "queued"`,
		},
		{Key: "k", At: at, Event: contacts.Refused, Reasons: []string{"QuietHours"}},
	} {
		text, err := json.Marshal(&r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
		f.Add(strings.NewReplacer(`":`, `": `, `,"`, `, "`).Replace(string(text))) // as PostgreSQL says it
	}
	for _, text := range []string{
		"", "{", "{}}", "[]", "null", `{"key":null}`, `{"key":"a",}`, `{,"key":"a"}`, `{"key":"a" "pod":"b"}`, `{"KEY":"a"}`, `{"key":"a","key":"b"}`,
		`{"campaign":{"generation":007}}`, `{"campaign":{"generation":-1}}`, `{"campaign":{"generation":1e3}}`, `{"campaign":{"generation":99999999999999999999}}`,
		`{"at":"2026-05-01T12:00:00+02:00"}`, `{"at":"2026-05-01T12:00:00,5Z"}`, `{"at":"2026-05-01T1:00:00Z"}`, `{"at":""}`, `{"other":1}`, "{\"key\":\"\xff\"}", `{"sequence":7}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var want, got Record
		err := json.Unmarshal([]byte(text), &want)
		if ok := readJSON(text, &got); ok != (err == nil) {
			t.Fatalf("%q is read: %v, want %v", text, ok, err)
		}
		if diff := cmp.Diff(want, got); err == nil && diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	})
}

func BenchmarkReadJSON(b *testing.B) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 123456789, time.UTC)
	text, err := json.Marshal(&Record{
		Key: "permit/1/2", At: at, Principal: "c-1", Brand: "acme", Purpose: "Marketing", Class: "Marketing", Channel: "Email", Topic: "Sport",
		Event: contacts.Redeemed, Campaign: contacts.Campaign{Namespace: "acme-shop", Name: "spring", UID: "u", Generation: 12, Job: "j"},
		Permit: "p", State: contacts.StateRedeemed, PolicyDigest: "sha256:0", ConsentRevision: "cr-1", Until: at.Add(time.Minute), Pod: "pod",
	})
	if err != nil {
		b.Fatal(err)
	}
	var r Record
	for name, read := range map[string]func() bool{
		"readJSON": func() bool { return readJSON(string(text), &r) },
		"json":     func() bool { return json.Unmarshal(text, &r) == nil },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !read() {
					b.Fatal("can't be read")
				}
			}
		})
	}
}

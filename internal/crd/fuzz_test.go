package crd_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/crd"
	"github.com/codb-dev/codb/internal/decision"
	largest "github.com/codb-dev/codb/test/crd"
)

// FuzzConsents shows any object to what stands at the door of consents, beside the
// apiserver's and in front of a database. Whatever it lets in is what Go's types
// hold, and reaches policies as it is.
func FuzzConsents(f *testing.F) {
	samples, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil || len(samples) == 0 {
		f.Fatal("no samples", err)
	}
	for _, name := range samples {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, doc := range bytes.Split(text, []byte("\n---\n")) {
			if object, err := yaml.YAMLToJSON(doc); err == nil && bytes.Contains(object, []byte(`"CustomerConsent"`)) {
				f.Add(object)
			}
		}
	}
	most, err := json.Marshal(largest.LargestConsent("c-1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(most)
	head := `{"apiVersion":"consent.codb.dev/v1alpha1","kind":"CustomerConsent","metadata":{"name":"c-1"},"spec":`
	for _, spec := range []string{
		`{}`, `null`, `[]`, `{"optOut":{"since":null}}`, `{"optOut":{"since":"0001-01-01T00:00:00Z"}}`, `{"pause":{"from":"9999-12-31T23:59:59Z","until":"9999-12-31T23:59:59.9Z"}}`,
		`{"birthYear":1e3}`, `{"birthYear":2000.5}`, `{"lifeEvents":[{"eventType":"Moved","eventDate":"2026-02-30"}]}`, `{"relationships":[{"brand":"acme"},{"brand":"acme"}]}`,
		`{"relationships":[{"brand":"acme","grants":[{"purpose":"Offers","channel":"Email","status":"ConsentGiven","captureDate":"2026-06-15T12:00:00+23:59"}]}]}`,
		`{"quietHours":[{"days":["Mon"],"start":"24:00","end":"-1:00"}]}`, `{"caps":[{"name":"c","max":2147483648,"window":"Rolling","length":"9999h","counts":["Marketing"]}]}`,
	} {
		f.Add([]byte(head + spec + "}"))
	}
	kinds, err := crd.Load(config.CRDFiles())
	if err != nil {
		f.Fatal(err)
	}
	kind := kinds["CustomerConsent"]
	f.Fuzz(func(t *testing.T, text []byte) {
		var o crd.Object
		if kjson.UnmarshalCaseSensitivePreserveInts(text, &o) != nil || o == nil {
			return
		}
		begun := time.Now()
		wrong := kind.Check(o, nil)
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("took %s", took)
		}
		if len(wrong) > 0 {
			return
		}
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var c v1alpha1.CustomerConsent
		if err := json.Unmarshal(text, &c); err != nil {
			t.Fatalf("let in, and it is none: %v", err)
		}
		reaches(t, &c)
	})
}

// reaches checks that columns have of a consent what policies are to see of it.
func reaches(t *testing.T, c *v1alpha1.CustomerConsent) {
	t.Helper()
	table := audience.NewTable()
	table.Put("c-1", c, time.Time{})
	for _, brand := range []string{"acme", "globex"} {
		want := consent.For(&c.Spec, brand)
		got := table.Snapshot().Subject(0, 0, &decision.Campaign{Brand: brand}).Person
		want.Bucket = got.Bucket
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-consent +columns):\n%s", brand, diff)
		}
	}
}

package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/crd"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/policies"
)

// declarer makes consents from the schema of the CRD alone: whatever the API
// admits may be in them, absent, least, most, longest and most of.
type declarer struct {
	*chance
	kind *crd.Kind
	made int
}

func newDeclarer(t testing.TB, c *chance) *declarer {
	t.Helper()
	kinds, err := crd.Load(config.CRDFiles())
	if err != nil {
		t.Fatal(err)
	}
	return &declarer{chance: c, kind: kinds["CustomerConsent"]}
}

// consent is one that the apiserver takes.
func (d *declarer) consent(t testing.TB) *v1alpha1.CustomerConsent {
	t.Helper()
	d.made++
	spec := d.kind.Schema.Properties["spec"]
	o := crd.Object{
		"apiVersion": "consent.codb.dev/v1alpha1", "kind": "CustomerConsent",
		"metadata": crd.Object{"name": fmt.Sprintf("c-%d", d.made)}, "spec": d.value("spec", &spec),
	}
	for range 200 {
		wrong := d.kind.Check(o, nil)
		if len(wrong) == 0 {
			break
		}
		for _, w := range wrong {
			at, _, _ := strings.Cut(w, ": ")
			takeOut(o, strings.Split(at, "."))
		}
	}
	if wrong := d.kind.Check(o, nil); len(wrong) > 0 {
		t.Fatalf("not a consent: %v", wrong)
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	out := &v1alpha1.CustomerConsent{}
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
	return out
}

var element = regexp.MustCompile(`^([^\[]+)(?:\[(\d+)\])?`)

// takeOut removes the innermost element or field on the way to a path that may be
// taken out: what is required goes with what it is in.
func takeOut(v any, path []string) (gone bool) {
	o, ok := v.(crd.Object)
	if !ok || len(path) == 0 {
		return false
	}
	part := element.FindStringSubmatch(path[0])
	if part == nil {
		return false
	}
	inner, there := o[part[1]]
	if !there {
		return false
	}
	list, isList := inner.([]any)
	if n, err := strconv.Atoi(part[2]); isList && err == nil && n < len(list) {
		if len(path) < 3 || !takeOut(list[n], path[1:]) {
			o[part[1]] = slices.Delete(list, n, n+1)
		}
		return true
	}
	if !takeOut(inner, path[1:]) && part[1] != "spec" {
		delete(o, part[1])
	}
	return true
}

// value is something of the schema.
func (d *declarer) value(path string, s *apiextensionsv1.JSONSchemaProps) any {
	switch s.Type {
	case "object":
		out := crd.Object{}
		for _, name := range sortedKeys(s.Properties) {
			if p := s.Properties[name]; slices.Contains(s.Required, name) || d.IntN(5) > 1 {
				out[name] = d.value(path+"."+name, &p)
			}
		}
		return out
	case "array":
		least, most := bound(s.MinItems, 0), bound(s.MaxItems, 3)
		n := pick(d.chance, least, least+1, 2, 2, most, least+d.IntN(most-least+1))
		var out []any
		for range min(n, most) {
			out = append(out, d.value(path, s.Items.Schema))
		}
		return d.distinct(s, out)
	case "integer":
		least, most := int64(numberOf(s.Minimum, 0)), int64(numberOf(s.Maximum, 1<<31-1))
		return pick(d.chance, least, least+1, most, most-1, min(most, max(least, d.small(path, reflect.Value{}))))
	}
	return d.text(path, s)
}

func bound(n *int64, otherwise int) int {
	if n == nil {
		return otherwise
	}
	return int(*n)
}

func numberOf(n *float64, otherwise float64) float64 {
	if n == nil {
		return otherwise
	}
	return *n
}

// distinct drops elements that a set or a keyed list has already.
func (d *declarer) distinct(s *apiextensionsv1.JSONSchemaProps, list []any) []any {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(v any) bool {
		key := fmt.Sprint(v)
		if o, ok := v.(crd.Object); ok {
			key = fmt.Sprint(len(seen))
			if len(s.XListMapKeys) > 0 {
				key = ""
			}
			for _, k := range s.XListMapKeys {
				key += fmt.Sprint(o[k], " ")
			}
		}
		defer func() { seen[key] = true }()
		return seen[key]
	})
}

// ends are instants beyond which no policy sees, the ends of the API's years, and
// those beside them.
var ends = []string{
	"0001-01-01T00:00:00Z", "0001-01-01T00:00:01Z", "1677-09-21T00:12:43Z", "1677-09-21T00:12:44Z", "1970-01-01T00:00:00Z",
	"2262-04-11T23:47:16Z", "2262-04-11T23:47:17Z", "9999-12-31T23:59:59Z", "2026-06-15T12:00:00+14:00", "2026-06-15T12:00:00-12:00",
}

func (d *declarer) text(path string, s *apiextensionsv1.JSONSchemaProps) string {
	name := path[1+lastDot(path):]
	switch {
	case len(s.Enum) > 0:
		var word string
		if err := json.Unmarshal(pick(d.chance, s.Enum...).Raw, &word); err != nil {
			panic(err)
		}
		return word
	case s.Format == "date-time":
		if d.IntN(5) == 0 {
			return pick(d.chance, ends...)
		}
		return time.Unix(0, d.int(path)).UTC().Format(time.RFC3339)
	case s.Format == "date":
		if d.IntN(5) == 0 {
			return pick(d.chance, ends...)[:len(time.DateOnly)]
		}
		return time.Unix(0, d.int(path)).UTC().Format(time.DateOnly)
	case name == "length":
		return pick(d.chance, "1h", "24h", "168h", "9999h")
	case name == "start" || name == "end":
		return pick(d.chance, "00:00", "00:01", "08:00", "12:00", "21:00", "23:59", "24:00")
	case name == "language":
		return pick(d.chance, "de", "fra-CA", "en-GB")
	case d.IntN(6) > 0:
		return pick(d.chance, d.words(path)...)
	}
	first := "a"
	if slices.Contains([]string{"purpose", "topics", "blockedTopics", "timeZone", "zone"}, name) {
		first = "A"
	}
	return first + strings.Repeat("z", max(0, bound(s.MaxLength, 40)-3)) + strconv.Itoa(10+d.IntN(90)) // as long as may be
}

// What the API admits, and nothing else was looked at to make it, is answered
// alike by columns, plans and OPA, when it is asked about and when it is resident.
func TestWhateverTheAPIAdmitsIsAnsweredLikeOPA(t *testing.T) {
	lib := load(t, policies.FS)
	var counts differential
	reached := map[string]bool{}
	for seed := range *worlds / 2 {
		c := newChance(uint64(4000 + seed))
		q := c.question(0)
		d := newDeclarer(t, c)
		b := &bank{records: map[string]*v1alpha1.CustomerConsent{}, table: audience.NewTable()}
		for range 120 {
			consents := d.consent(t)
			b.put(consents)
			visit("customer", shape().byName["customer"], reflect.ValueOf(consent.For(&consents.Spec, "acme")), reached)
			s := decision.Subject{Person: consent.For(&consents.Spec, "acme")}
			c.fill("contacts", shape().byName["contacts"], reflect.ValueOf(&s.Contacts).Elem())
			s.Person.Bucket = c.IntN(10000)
			q.Subjects = append(q.Subjects, s)
		}
		grammar := newGrammar(uint64(4000+seed), q.Now).policy()
		for _, ps := range [][]Policy{c.policies(lib), {grammar}} {
			p, refused, i := compiledOnly(t, lib, decision.Question{Now: q.Now, Campaign: q.Campaign}, ps...)
			a := answered{d: &counts, q: q, want: mustJudge(t, i, q), of: fmt.Sprintf("world %d", seed), rego: ps[len(ps)-1].Rego}
			counts.pairs.Add(int64(len(a.want)))
			a.byPlans(t, i)
			if len(refused) == 0 {
				a.byColumns(t, p)
			}
		}
		resident(t, b, &q)
	}
	t.Logf("%d pairs; natively answered %d, in bulk %d, by plans %d", counts.pairs.Load(), counts.native.Load(), counts.bulk.Load(), counts.planned.Load())
	if least := counts.pairs.Load() / 2; counts.native.Load() < least || counts.planned.Load() < least {
		t.Error("too little is compared")
	}
	var missed []string
	every("customer", shape().byName["customer"], func(path string) {
		if !reached[path] {
			missed = append(missed, path)
		}
	})
	if len(missed) > 0 {
		t.Errorf("nobody has %v", missed)
	}
}

// resident checks that the rows of a table are what the consents say.
func resident(t *testing.T, b *bank, q *decision.Question) {
	t.Helper()
	for n, name := range b.names {
		b.table.Past(name, q.Subjects[n].Contacts)
	}
	s := b.table.Snapshot()
	seen := 0
	for chunk := range s.Chunks() {
		for row := range s.Chunk(chunk, "acme").Live.All {
			n := slices.Index(b.names, s.Name(chunk, row))
			want, got := q.Subjects[n], s.Subject(chunk, row, &q.Campaign)
			want.Person.Bucket = got.Person.Bucket
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("a row (-consent +table):\n%s", diff)
			}
			seen++
		}
	}
	if seen != len(b.names) {
		t.Errorf("%d rows of %d customers", seen, len(b.names))
	}
}

// visit notes which of a document's attributes are there.
func visit(path string, a *attribute, v reflect.Value, there map[string]bool) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	if a.optional && v.IsZero() {
		return
	}
	there[path] = true
	switch a.kind {
	case reflect.Struct:
		for _, f := range a.fields {
			visit(path+"."+f.name, f, v.Field(f.index), there)
		}
	case reflect.Slice:
		for i := range v.Len() {
			visit(path, a.elem, v.Index(i), there)
		}
	}
}

// every calls tell for all attributes below one.
func every(path string, a *attribute, tell func(string)) {
	tell(path)
	if a.kind == reflect.Slice {
		a = a.elem
	}
	for _, f := range a.fields {
		every(path+"."+f.name, f, tell)
	}
}

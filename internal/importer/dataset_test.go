package importer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/test/crd"
)

const dataFile = "../../test/data/bank-additional-full.csv.gz"

var readOnce = sync.OnceValues(func() ([]Row, error) { return readFile(dataFile) })

func dataset(t *testing.T) []Row {
	t.Helper()
	rows, err := readOnce()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestTheDataSetIsWhatItsReadmeSays(t *testing.T) {
	rows := dataset(t)
	m, ids := mapper("as-recorded"), map[string]bool{}
	var calls, earlier, purchases, unknown int
	for _, r := range rows {
		cc, past := m.Map(r)
		ids[cc.Name] = true
		for _, c := range past {
			switch {
			case c.Event == contacts.Purchase:
				purchases++
			case strings.Contains(c.Key, "/earlier-"):
				earlier++
			default:
				calls++
			}
		}
		if cc.Spec.Relationships[0].Grants[0].Status == "ConsentUnknown" {
			unknown++
		}
	}
	got := map[string]int{"people": len(rows), "ids": len(ids), "calls": calls, "earlier": earlier, "purchases": purchases, "unknown": unknown}
	want := map[string]int{"people": 41188, "ids": 41188, "calls": 105754, "earlier": 7124, "purchases": 1373, "unknown": 41188 - 1373}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

// TestEveryRowIsAcceptable maps every row under every profile and judges the
// customers as the apiserver does; of customers with the same spec, one.
func TestEveryRowIsAcceptable(t *testing.T) {
	kinds, err := crd.Load("../../config/crd/bases")
	if err != nil {
		t.Fatal(err)
	}
	kind, rows := kinds["CustomerConsent"], dataset(t)
	opaque := regexp.MustCompile(`^c-[0-9a-f]{12}$`)
	for profile := range profiles {
		m, judged := mapper(profile), map[string]bool{}
		for _, r := range rows {
			cc, _ := m.Map(r)
			if !opaque.MatchString(cc.Name) {
				t.Fatalf("line %d: name %q says something", r.Line, cc.Name)
			}
			if errs := validation.ValidateLabels(cc.Labels, nil); len(errs) > 0 {
				t.Fatalf("line %d: %v", r.Line, errs.ToAggregate())
			}
			spec := string(encode(t, cc.Spec))
			if judged[spec] {
				continue
			}
			judged[spec] = true
			object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&cc)
			if err != nil {
				t.Fatal(err)
			}
			delete(object, "status")
			if errs := kind.Check(object, nil); len(errs) > 0 {
				t.Fatalf("profile %s, line %d: %v", profile, r.Line, errs)
			}
		}
	}
}

// TestSameSeedSameBytes pins what all rows map to. Another digest means that
// the next import changes people whom it should leave alone: change it only
// together with the mapping in test/data/README.md.
func TestSameSeedSameBytes(t *testing.T) {
	want := map[string]string{
		"as-recorded": "135bb9616f9712ce",
		"demo":        "a82f74cb7aec0083",
	}
	got := map[string]string{}
	for profile := range profiles {
		m, sum := mapper(profile), sha256.New()
		for _, r := range dataset(t) {
			cc, past := m.Map(r)
			sum.Write([]byte(cc.Name))
			sum.Write(encode(t, cc.Labels))
			sum.Write(encode(t, cc.Spec))
			sum.Write(encode(t, past))
		}
		got[profile] = hex.EncodeToString(sum.Sum(nil)[:8])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("digests (-want +got):\n%s", diff)
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSampleKeepsShares(t *testing.T) {
	rows, m := dataset(t), mapper("demo")
	for _, limit := range []int{1, 7, 200, 2000, 41187} {
		got := m.sample(rows, limit)
		if len(got) != limit {
			t.Fatalf("a sample of %d has %d rows", limit, len(got))
		}
		if diff := cmp.Diff(got, m.sample(rows, limit)); diff != "" {
			t.Fatalf("two samples of %d differ", limit)
		}
		purchasers, overcalled := 0, 0
		for i, r := range got {
			if i > 0 && r.Number <= got[i-1].Number {
				t.Fatal("the sample isn't in the order of the file")
			}
			if r.Outcome == "success" {
				purchasers++
			}
			if r.Calls >= overcalledFrom {
				overcalled++
			}
		}
		// Up to one row a stratum is rounding; purchasers are two strata, overcalled three.
		if want := 1373 * limit / len(rows); purchasers < want-2 || purchasers > want+2 {
			t.Errorf("%d purchasers in a sample of %d, want about %d", purchasers, limit, want)
		}
		if want := 7635 * limit / len(rows); overcalled < want-3 || overcalled > want+3 {
			t.Errorf("%d called more than 3 times in a sample of %d, want about %d", overcalled, limit, want)
		}
	}
	if got := m.sample(rows, 0); len(got) != len(rows) {
		t.Errorf("limit 0 takes %d rows, want all", len(got))
	}
	other := m
	other.Seed++
	if cmp.Equal(m.sample(rows, 200), other.sample(rows, 200)) {
		t.Error("another seed takes the same sample")
	}
}

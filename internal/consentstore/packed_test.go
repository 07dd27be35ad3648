package consentstore

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// samples are all well-formed consents that there are to try with.
func samples(t testing.TB) map[string]*v1alpha1.CustomerConsent {
	t.Helper()
	files, err := filepath.Glob("../../api/v1alpha1/testdata/customerconsent/accept-*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	out := map[string]*v1alpha1.CustomerConsent{}
	for _, f := range append(files, "../../config/samples/customerconsent-c-7f3a.yaml") {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n---")
		c := &v1alpha1.CustomerConsent{}
		if err := yaml.Unmarshal([]byte(first), c); err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = c
	}
	return out
}

// decides is what packing keeps of a consent.
func decides(c *v1alpha1.CustomerConsent) *v1alpha1.CustomerConsent {
	out := &v1alpha1.CustomerConsent{Spec: c.Spec}
	out.Name, out.UID, out.Generation, out.DeletionTimestamp, out.Labels = c.Name, c.UID, c.Generation, c.DeletionTimestamp, c.Labels
	return out
}

func TestWhatIsPackedIsWhatWasSaid(t *testing.T) {
	w := words{numbers: map[string]uint64{}}
	for name, c := range samples(t) {
		t.Run(name, func(t *testing.T) {
			for _, uid := range []string{"", "0b6e1a52-83a4-4a1d-9d3a-7e1b8ff9b1e5", "0B6E1A52-83A4-4A1D-9D3A-7E1B8FF9B1E5", "uid-of-a-test"} {
				c.UID, c.Generation = types.UID(uid), 300
				p := w.pack(c)
				got := p.unpack(c.Name, w.texts)
				if diff := cmp.Diff(decides(c), got, cmpopts.EquateEmpty()); diff != "" {
					t.Error(diff)
				}
				if again := w.pack(got); again != p {
					t.Error("the same answer has other bytes")
				}
			}
		})
	}
}

// What people have not in common must not fill the memory of what they have.
func TestWordsHaveAnEnd(t *testing.T) {
	w := words{numbers: map[string]uint64{}}
	c := &v1alpha1.CustomerConsent{}
	for i := range wordsKept + 10 {
		c.Spec.Language = v1alpha1.Language(fmt.Sprint("l", i))
		if got := w.pack(c).unpack("", w.texts); got.Spec.Language != c.Spec.Language {
			t.Fatalf("word %d is %q, want %q", i, got.Spec.Language, c.Spec.Language)
		}
	}
	if len(w.texts) != wordsKept {
		t.Errorf("%d words, want %d", len(w.texts), wordsKept)
	}
	c.Spec.Language = v1alpha1.Language(strings.Repeat("x", longest+1))
	if got := w.pack(c).unpack("", w.texts); got.Spec.Language != c.Spec.Language {
		t.Error("a long text got lost")
	}
}

// An answer that differs in anything that decides has other bytes.
func TestEachChangeIsSeen(t *testing.T) {
	base := samples(t)["customerconsent-c-7f3a.yaml"]
	now := metav1.Now().Rfc3339Copy()
	for name, change := range map[string]func(*v1alpha1.CustomerConsent){
		"an opt-out":     func(c *v1alpha1.CustomerConsent) { c.Spec.OptOut = &v1alpha1.OptOut{Since: now} },
		"a generation":   func(c *v1alpha1.CustomerConsent) { c.Generation++ },
		"a label":        func(c *v1alpha1.CustomerConsent) { c.Labels = map[string]string{"segment": "a"} },
		"on its way out": func(c *v1alpha1.CustomerConsent) { c.DeletionTimestamp = &now },
		"somebody else":  func(c *v1alpha1.CustomerConsent) { c.UID = "other" },
		"a status": func(c *v1alpha1.CustomerConsent) {
			c.Spec.Relationships[0].Grants[0].Status = v1alpha1.ConsentWithdrawn
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := words{numbers: map[string]uint64{}}
			c := base.DeepCopy()
			if change(c); w.pack(base) == w.pack(c) {
				t.Error("nobody would hear of it")
			}
		})
	}
}

func BenchmarkPack(b *testing.B) {
	w := words{numbers: map[string]uint64{}}
	c := samples(b)["customerconsent-c-7f3a.yaml"]
	raw, err := json.Marshal(c)
	if err != nil {
		b.Fatal(err)
	}
	p := w.pack(c)
	b.Run("pack", func(b *testing.B) {
		for b.Loop() {
			w.pack(c)
		}
		b.ReportMetric(float64(len(p)), "B")
	})
	b.Run("unpack", func(b *testing.B) {
		for b.Loop() {
			p.unpack(c.Name, w.texts)
		}
	})
	b.Run("JSON", func(b *testing.B) {
		for b.Loop() {
			var c v1alpha1.CustomerConsent
			if err := json.Unmarshal(raw, &c); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(raw)), "B")
	})
}

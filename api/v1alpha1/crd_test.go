package v1alpha1_test

import (
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/codb-dev/codb/test/crd"
)

const crds = "../../config/crd/bases"

func kinds(t *testing.T) map[string]*crd.Kind {
	t.Helper()
	kinds, err := crd.Load(crds)
	if err != nil {
		t.Fatal(err)
	}
	return kinds
}

// samples reads testdata/<kind>/*.yaml, keyed by file.
func samples(t *testing.T) map[string]*crd.Sample {
	t.Helper()
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*crd.Sample{}
	for _, file := range files {
		s, err := crd.ReadSample(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		if folder := filepath.Base(filepath.Dir(file)); folder != strings.ToLower(s.Kind()) {
			t.Errorf("%s: a %s lies in the folder %s", file, s.Kind(), folder)
		}
		switch {
		case strings.HasPrefix(name, "accept-") && len(s.Refuse) == 0:
		case strings.HasPrefix(name, "refuse-") && len(s.Refuse) > 0:
		default:
			t.Errorf("%s: want accept-* without a line # refuse:, or refuse-* with one", file)
		}
		all[file] = s
	}
	return all
}

func messages(k *crd.Kind, s *crd.Sample) []string {
	return k.Check(copied(s.Object), copied(s.Old))
}

func copied(o crd.Object) crd.Object {
	if o == nil {
		return nil
	}
	return runtime.DeepCopyJSON(o)
}

func TestSamples(t *testing.T) {
	kinds := kinds(t)
	seen := map[string]bool{}
	for file, s := range samples(t) {
		t.Run(strings.TrimPrefix(file, "testdata/"), func(t *testing.T) {
			k := kinds[s.Kind()]
			if k == nil {
				t.Fatalf("no CRD for kind %q", s.Kind())
			}
			if wrong := s.Mismatch(messages(k, s)); wrong != "" {
				t.Error(wrong)
			}
			if s.Old != nil {
				before := &crd.Sample{Object: s.Old}
				if wrong := before.Mismatch(messages(k, before)); wrong != "" {
					t.Errorf("the older object is refused itself: %s", wrong)
				}
			}
		})
		seen[s.Kind()] = true
	}
	for name := range kinds {
		if !seen[name] {
			t.Errorf("no samples of %s", name)
		}
	}
}

// A rule that no sample breaks may be gone tomorrow without anybody noticing.
func TestEveryRuleHasSamples(t *testing.T) {
	all := samples(t)
	for _, k := range kinds(t) {
		rules := k.Rules()
		for _, rule := range rules {
			var accepted, refused bool
			for _, s := range all {
				if s.Kind() != k.Name {
					continue
				}
				object, old := copied(s.Object), copied(s.Old)
				errs := k.Check(object, old) // fills defaults in
				switch {
				case len(s.Refuse) == 0:
					accepted = accepted || rule.Accepts(object, old)
				case len(errs) > 0:
					refused = refused || rule.Refuses(object, old)
				}
			}
			if !accepted {
				t.Errorf("%s: no accepted sample in which this rule is evaluated: %s at %s", k.Name, rule.Text, rule.Path)
			}
			if !refused {
				t.Errorf("%s: no sample that this rule refuses: %s at %s", k.Name, rule.Text, rule.Path)
			}
		}
	}
}

package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
)

func objects(t *testing.T, v config.Values, parts ...config.Part) []*unstructured.Unstructured {
	t.Helper()
	all, err := config.Objects(v, parts...)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestKindsComeBeforeWhatNeedsThem also says what an installation consists of.
func TestKindsComeBeforeWhatNeedsThem(t *testing.T) {
	var kinds []string
	for _, u := range objects(t, config.Values{}, config.Installation...) {
		if kind := u.GetKind(); len(kinds) == 0 || kinds[len(kinds)-1] != kind {
			kinds = append(kinds, kind)
		}
	}
	order := strings.Join(kinds, " ")
	for _, pair := range [][2]string{
		{"CustomResourceDefinition", "CampaignPolicy"},
		{"Namespace", "ServiceAccount"},
		{"ServiceAccount", "ValidatingAdmissionPolicy"},
		{"ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"},
	} {
		first, then := strings.Index(order, pair[0]), strings.Index(order, pair[1])
		if pair[1] == "CampaignPolicy" && then < 0 {
			continue // applied once codb runs, and so not part of every installation
		}
		if first < 0 || then < first {
			t.Errorf("%s must come before %s, got %s", pair[0], pair[1], order)
		}
	}
}

func TestEveryPolicyIsBoundAndFailsClosed(t *testing.T) {
	bound := map[string]bool{}
	all := objects(t, config.Values{}, config.Admission, config.Mutation)
	for _, u := range all {
		if name, ok, _ := unstructured.NestedString(u.Object, "spec", "policyName"); ok {
			bound[u.GetKind()[:8]+name] = true
		}
	}
	for _, u := range all {
		if strings.HasSuffix(u.GetKind(), "Binding") {
			continue
		}
		if !bound[u.GetKind()[:8]+u.GetName()] {
			t.Errorf("%s %s is not bound", u.GetKind(), u.GetName())
		}
		if fail, _, _ := unstructured.NestedString(u.Object, "spec", "failurePolicy"); fail != "Fail" {
			t.Errorf("%s has failurePolicy %q, want Fail", u.GetName(), fail)
		}
		if _, params, _ := unstructured.NestedMap(u.Object, "spec", "paramKind"); params {
			t.Errorf("%s has parameters, so it can't be a static manifest", u.GetName())
		}
	}
}

// TestOperatorIsOneValue keeps the operator's name to one place in a policy
// and replaces it everywhere.
func TestOperatorIsOneValue(t *testing.T) {
	const other = "system:serviceaccount:elsewhere:operator"
	before, after := objects(t, config.Values{}, config.Admission), objects(t, config.Values{Operator: other}, config.Admission)
	named := 0
	for i, u := range before {
		was, is := text(t, u), text(t, after[i])
		n := strings.Count(was, consentv1.OperatorUsername)
		if n > 1 {
			t.Errorf("%s names the operator %d times, want once, as a variable", u.GetName(), n)
		}
		named += n
		if diff := cmp.Diff(strings.ReplaceAll(was, consentv1.OperatorUsername, other), is); diff != "" {
			t.Errorf("%s (-want +got):\n%s", u.GetName(), diff)
		}
	}
	if named == 0 {
		t.Error("no policy names the operator")
	}
}

// TestKueueIsOneValue: nobody is Kueue unless the installation says who, in a
// way that can't change the policy's meaning.
func TestKueueIsOneValue(t *testing.T) {
	const user = "system:serviceaccount:kueue-system:kueue-controller-manager"
	named := 0
	for i, u := range objects(t, config.Values{Kueue: user}, config.Admission) {
		none := text(t, objects(t, config.Values{}, config.Admission)[i])
		if n := strings.Count(text(t, u), user); n > 0 {
			named += n
			none = strings.Replace(none, `"expression":"''","name":"kueue"`, `"expression":"'`+user+`'","name":"kueue"`, 1)
		}
		if diff := cmp.Diff(none, text(t, u)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", u.GetName(), diff)
		}
	}
	if named != 1 {
		t.Errorf("Kueue is named %d times, want once", named)
	}
	for _, wrong := range []string{"' || true || '", "kueue", "system:serviceaccount:a:b'", "system:serviceaccount:a"} {
		if _, err := config.Objects(config.Values{Kueue: wrong}, config.Admission); err == nil {
			t.Errorf("%q passes for Kueue's user", wrong)
		}
	}
}

// TestOneStoreOfConsents: the apiserver takes none where a database has them.
func TestOneStoreOfConsents(t *testing.T) {
	refusing := 0
	before, after := objects(t, config.Values{}, config.Admission), objects(t, config.Values{Elsewhere: true}, config.Admission)
	for i := range before {
		was, is := text(t, before[i]), text(t, after[i])
		if was == is {
			continue
		}
		refusing++
		want := strings.Replace(was, `{"expression":"false","name":"elsewhere"}`, `{"expression":"true","name":"elsewhere"}`, 1)
		if diff := cmp.Diff(want, is); diff != "" {
			t.Errorf("%s (-want +got):\n%s", before[i].GetName(), diff)
		}
	}
	if refusing != 1 {
		t.Errorf("%d policies refuse consents, want one", refusing)
	}
	for elsewhere, want := range map[bool]int{false: 6, true: 5} { // kubectl warns of a short name that two kinds have
		short := 0
		for _, crd := range objects(t, config.Values{Elsewhere: elsewhere}, config.CRDs) {
			short += strings.Count(text(t, crd), `"shortNames":`)
		}
		if short != want {
			t.Errorf("consents elsewhere %v: %d kinds have short names, want %d", elsewhere, short, want)
		}
	}
}

func text(t *testing.T, u *unstructured.Unstructured) string {
	t.Helper()
	raw, err := u.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

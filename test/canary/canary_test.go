// Package canary plants a person whom nobody may ever read of outside of their
// own consent, and searches everything that codb leaves behind.
package canary

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/test/apiserver"
)

// The canaries: a person's id, and what they or others wrote of them where free
// text fits.
const (
	person   = "c-kanarienvogel-1"
	refused  = "c-kanarienvogel-2"
	guardian = "c-kanarienvogel-3"
	canary   = "kanarienvogel"
	promised = "kolibri for life"
	marked   = "zaunkoenig"
)

var sought = []string{canary, promised, marked}

// brood is a running codb that is watched.
type brood struct {
	*testing.T
	ctx     context.Context
	env     *apiserver.Env
	client  client.Client
	metrics string
	log     string
}

func TestNobodyReadsOfAPersonOutsideOfTheirConsent(t *testing.T) {
	b := newBrood(t)
	b.live()
	where := map[string]string{"the log": read(t, b.log), "the metrics": get(t, "http://"+b.metrics+"/metrics")}
	b.objects(where)
	for place, text := range where {
		for _, s := range sought {
			if i := strings.Index(strings.ToLower(text), s); i >= 0 {
				t.Errorf("%s: %s", place, text[max(0, i-200):min(len(text), i+200)])
			}
		}
	}
	if len(where["the metrics"]) < 1000 || !strings.Contains(where["the log"], "Verdict changed") {
		t.Error("too little was searched")
	}
}

// live lets campaigns reach, refuse, fail over and lose the person.
func (b *brood) live() {
	b.create(consent(guardian, "none"))
	b.create(consent(person, "one", func(s *v1alpha1.CustomerConsentSpec) { s.Guardian = &v1alpha1.Guardian{Ref: guardian} }))
	b.create(consent(refused, "two", func(s *v1alpha1.CustomerConsentSpec) {
		s.Relationships[0].Grants[0].Status = v1alpha1.ConsentRefused
	}))

	calm := b.campaign("calm", "Marketing", "one")
	b.becomes(calm, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	mixed := b.campaign("mixed", "Marketing", "one", "two")
	b.becomes(mixed, v1alpha1.CampaignPartlyAllowed, v1alpha1.WorkloadSuspended)

	for i, who := range []string{person, refused, "c-kanarienvogel-of-nobody"} {
		b.review(fmt.Sprintf("why-%d-%s", i, who), who) // people do name questions so
	}
	b.overrun()

	c := b.consent(person)
	before := c.DeepCopy()
	c.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.Now(), Source: "CustomerService"}
	b.must(b.client.Patch(b.ctx, c, client.MergeFrom(before)))
	b.becomes(calm, v1alpha1.CampaignBlocked, v1alpha1.WorkloadSuspended)

	b.askGate(person)
	b.must(b.client.Delete(b.ctx, c)) // a system:masters may erase
	b.becomes(calm, v1alpha1.CampaignBlocked, v1alpha1.WorkloadSuspended)
}

// overrun applies a policy that gets its worker killed over the person.
func (b *brood) overrun() {
	p := &v1alpha1.CampaignPolicy{ObjectMeta: metav1.ObjectMeta{Name: "fails"}, Spec: v1alpha1.CampaignPolicySpec{
		Match: &v1alpha1.PolicyMatch{Purposes: []v1alpha1.Purpose{"Recall"}},
		Rego: `package codb.policy

import rego.v2

slow if {
	input.customer.lifeStage == "Retired"
	some i in numbers.range(1, 30000)
	some j in numbers.range(1, 30000)
	i * j == -1
}

deny contains {"code": "Slow", "message": "slow"} if slow

deny contains {"code": "Stageless", "message": "no life stage"} if not input.customer.lifeStage
`,
	}}
	b.until("the policy is admitted", func() (string, bool) {
		err := b.client.Create(b.ctx, p.DeepCopy())
		return fmt.Sprint(err), err == nil
	})
	b.until("the policy is ready", func() (string, bool) {
		b.must(b.client.Get(b.ctx, client.ObjectKeyFromObject(p), p))
		return fmt.Sprint(p.Status), p.Status.InForce != nil
	})
	c := b.campaign("recall", "Recall", "one")
	b.until("the evaluation fails", func() (string, bool) {
		b.must(b.client.Get(b.ctx, client.ObjectKeyFromObject(c), c))
		return c.Status.Why, strings.Contains(c.Status.Why, v1alpha1.CodeEvaluationFailed)
	})
}

// askGate asks the gate for the person as nobody who may.
func (b *brood) askGate(who string) {
	cm := &corev1.ConfigMap{}
	b.must(b.client.Get(b.ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: "codb-gate"}, cm))
	raw, err := json.Marshal(cm.Data)
	b.must(err)
	var url string
	for _, v := range cm.Data {
		if strings.HasPrefix(v, "https://") {
			url = v
		}
	}
	if url == "" {
		b.Fatalf("the gate's address is not in %s", raw)
	}
	for _, token := range []string{"", "Bearer forged"} {
		req, err := http.NewRequestWithContext(b.ctx, http.MethodGet, url+"/v1/contacts/"+who+"?since=nonsense", nil)
		b.must(err)
		req.Header.Set("Authorization", token)
		resp, err := insecure().Do(req)
		b.must(err)
		body, err := io.ReadAll(resp.Body)
		b.must(errors.Join(err, resp.Body.Close()))
		if resp.StatusCode == http.StatusOK || strings.Contains(string(body), canary) {
			b.Errorf("the gate answers %d: %s", resp.StatusCode, body)
		}
	}
}

// objects gathers every object of every kind that the apiserver has, but the
// consents and reviews themselves.
func (b *brood) objects(where map[string]string) {
	d, err := discovery.NewDiscoveryClientForConfig(b.env.Config)
	b.must(err)
	lists, err := d.ServerPreferredResources()
	b.must(err)
	kinds := 0
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		b.must(err)
		for _, r := range list.APIResources {
			own := gv.Group == v1alpha1.Group && (r.Kind == "CustomerConsent" || r.Kind == "ConsentReview")
			if own || !strings.Contains(strings.Join(r.Verbs, " "), "list") {
				continue
			}
			all := &unstructured.UnstructuredList{}
			all.SetGroupVersionKind(gv.WithKind(r.Kind + "List"))
			b.must(b.client.List(b.ctx, all))
			kinds++
			for i := range all.Items {
				raw, err := json.Marshal(all.Items[i].Object)
				b.must(err)
				where[r.Kind+" "+all.Items[i].GetNamespace()+"/"+all.Items[i].GetName()] = string(raw)
			}
		}
	}
	if kinds < 40 {
		b.Errorf("only %d kinds were searched", kinds)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out bytes.Buffer
	if _, err := out.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

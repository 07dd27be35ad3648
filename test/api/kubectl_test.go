package api

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/test/crd"
)

// width is how many characters a table may have: what a terminal shows beside
// an editor. The answer has to be in it.
const width = 110

func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := env.Kubectl(t, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

func manifest(t *testing.T, text string) crd.Object {
	t.Helper()
	o, err := crd.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// The tables of typical objects hold the answer and fit.
func TestTables(t *testing.T) {
	namespaces(t)
	files, err := filepath.Glob("testdata/typical/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no typical objects: %v", err)
	}
	for _, file := range files {
		s, err := crd.ReadSample(file)
		if err != nil {
			t.Fatal(err)
		}
		create(t, s.Object)
	}
	tests := map[string]struct {
		args []string
		want []string
	}{
		"Campaigns": {[]string{"camp", "-n", "acme-marketing"}, []string{"VERDICT", "spring-garden", "Blocked", "1266", "4521", "Suspended", "62% denied, limit 60%"}},
		"Decisions": {[]string{"cdec", "-n", "acme-marketing"}, []string{"TOP-REASON", "spring-garden-8c41f0", "Blocked", "DepthExceeded"}},
		"Policies":  {[]string{"campol"}, []string{"baseline", "Enforce", "35/35", "True", "17 rules, 35 cases"}},
		"Consents":  {[]string{"cc", "-n", "codb-customers"}, []string{"GIVEN", "c-7f3a", "Given", "2128-03-01T00:00:00Z", "Europe/Berlin"}},
		"Reviews":   {[]string{"crev", "-n", "codb-customers"}, []string{"q1", "spring-garden", "c-7f3a", "Deny", "NoGrant,OptedOut"}},
		"Brands":    {[]string{"brand"}, []string{"acme", "True", `["acme-marketing"]`}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			table := kubectl(t, append([]string{"get"}, tc.args...)...)
			t.Log("\n" + table)
			for _, want := range tc.want {
				if !strings.Contains(table, want) {
					t.Errorf("no %q in\n%s", want, table)
				}
			}
			for line := range strings.Lines(table) {
				if n := len(strings.TrimRight(line, " \n")); n > width {
					t.Errorf("%d characters, want at most %d: %s", n, width, line)
				}
			}
		})
	}
}

func TestFieldSelectors(t *testing.T) {
	namespaces(t)
	ns := env.Namespace(t, nil)
	campaign := func(name, brand, verdict string) {
		create(t, manifest(t, fmt.Sprintf(`
apiVersion: consent.codb.dev/v1alpha1
kind: Campaign
metadata: {name: %s, namespace: %s}
spec: {brand: %s, purpose: Marketing, channel: Email, owner: garden-team, audience: {everyone: {}}}
status: {verdict: %s}`, name, ns, brand, verdict)))
	}
	campaign("one", "acme", "Blocked")
	campaign("two", "acme", "Allowed")
	campaign("three", "globex", "Blocked")
	decision := func(name, of, verdict string) {
		create(t, manifest(t, fmt.Sprintf(`
apiVersion: consent.codb.dev/v1alpha1
kind: CampaignDecision
metadata: {name: %s, namespace: %s}
spec: {campaign: {name: %s, uid: u, generation: 1}, verdict: %s, decidedAt: 2027-03-01T08:00:02Z}`, name, ns, of, verdict)))
	}
	decision("one-1", "one", "Blocked")
	decision("two-1", "two", "Allowed")
	tests := map[string]struct {
		kind, selector string
		want           string
	}{
		"CampaignsByVerdict":  {"camp", "status.verdict=Blocked", "campaign.consent.codb.dev/one campaign.consent.codb.dev/three"},
		"CampaignsByBrand":    {"camp", "spec.brand=globex", "campaign.consent.codb.dev/three"},
		"CampaignsByBoth":     {"camp", "spec.brand=acme,status.verdict!=Blocked", "campaign.consent.codb.dev/two"},
		"DecisionsByCampaign": {"cdec", "spec.campaign.name=one", "campaigndecision.consent.codb.dev/one-1"},
		"DecisionsByVerdict":  {"cdec", "spec.verdict=Allowed", "campaigndecision.consent.codb.dev/two-1"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := strings.Fields(kubectl(t, "get", tc.kind, "-n", ns, "-o", "name", "--field-selector", tc.selector))
			if slices.Sort(got); strings.Join(got, " ") != tc.want {
				t.Errorf("got %v, want %s", got, tc.want)
			}
		})
	}
}

// A preference centre owns the consent; customer service opts the customer out
// with one patch, and the preference centre's next apply leaves that alone.
func TestOptOutByASecondManager(t *testing.T) {
	namespaces(t)
	ns := env.Namespace(t, nil)
	apply := func() {
		u := object(manifest(t, `
apiVersion: consent.codb.dev/v1alpha1
kind: CustomerConsent
metadata: {name: c-7f3a, namespace: `+ns+`}
spec: {timeZone: Europe/Berlin, relationships: [{brand: acme}]}`))
		if err := env.Client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("preference-centre")); err != nil {
			t.Fatal(err)
		}
	}
	apply()
	kubectl(t, "patch", "cc", "c-7f3a", "-n", ns, "--type=merge", "-p", `{"spec":{"optOut":{"since":"2027-03-01T09:00:00Z"}}}`)
	apply()
	got := &consentv1.CustomerConsent{}
	if err := env.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "c-7f3a"}, got); err != nil {
		t.Fatal(err)
	}
	want := time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)
	if got.Spec.OptOut == nil || !got.Spec.OptOut.Since.Time.Equal(want) {
		t.Errorf("optOut = %v, want since %v", got.Spec.OptOut, want)
	}
	if len(got.Spec.Relationships) != 1 {
		t.Errorf("the patch changed the relationships: %v", got.Spec.Relationships)
	}
}

// kubectl explain prints what the apiserver publishes as OpenAPI v3: every
// field of every kind must be described there.
func TestExplain(t *testing.T) {
	for path, want := range map[string]string{
		"campaign":                                         "Campaign is what a marketer wants to do",
		"campaign.spec.audience":                           "audience is who is meant",
		"campaign.spec.workload.job.command":               "command of the sender",
		"customerconsent.spec.relationships.grants.status": "ConsentRequestDeferred",
		"campaignpolicy.spec.rules.with":                   "the rule's parameters",
		"campaigndecision.spec.consents.revision":          "opaque mark",
		"consentreview.status.why":                         "in one line",
		"brand.spec.purposes.notice":                       "in plain words",
	} {
		if out := kubectl(t, "explain", path); !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("kubectl explain %s: no %q in\n%s", path, want, out)
		}
	}

	raw := kubectl(t, "get", "--raw", "/openapi/v3/apis/"+consentv1.Group+"/v1alpha1")
	var doc struct {
		Components struct {
			Schemas map[string]map[string]any `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal([]byte(raw), &doc); err != nil {
		t.Fatal(err)
	}
	fields := 0
	for name, schema := range doc.Components.Schemas {
		if strings.HasPrefix(name, "dev.codb.consent.") && !strings.HasSuffix(name, "List") {
			fields += undescribed(schema, name, t.Errorf)
		}
	}
	if fields < 200 {
		t.Errorf("looked at %d fields only", fields)
	}
}

func undescribed(schema map[string]any, path string, fault func(string, ...any)) int {
	fields := 0
	if items, ok := schema["items"].(map[string]any); ok {
		fields += undescribed(items, path+"[]", fault)
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, p := range properties {
		property := p.(map[string]any)
		fields += 1 + undescribed(property, path+"."+name, fault)
		if description, _ := property["description"].(string); description == "" && name != "metadata" {
			fault("%s.%s has no description", path, name)
		}
	}
	return fields
}

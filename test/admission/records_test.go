package admission_test

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
)

const customers = consentv1.CustomersNamespace

func consent(ns, name string, change ...func(*consentv1.CustomerConsent)) *consentv1.CustomerConsent {
	c := &consentv1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	for _, f := range change {
		f(c)
	}
	return c
}

func TestConsents(t *testing.T) {
	bindPeople(t)
	mine, other := consent(customers, "c-1"), consent(customers, "c-2")
	store(t, root, mine, other)
	elsewhere := env.Namespace(t, nil)
	optOut := "{'spec':{'optOut':{'since':'2026-03-01T09:00:00Z'}}}"
	owned := func(c *consentv1.CustomerConsent) {
		c.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "x", UID: "1"}}
	}
	fenced := func(c *consentv1.CustomerConsent) {
		c.Labels = map[string]string{consentv1.LabelClass: consentv1.ClassFence}
	}
	review := func(ns string) *consentv1.ConsentReview {
		return &consentv1.ConsentReview{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "q1"}, Spec: consentv1.ConsentReviewSpec{
			Customer: "c-1", Campaign: consentv1.NamespacedReference{Namespace: marketing, Name: spring},
		}}
	}
	ownID := "a customer writes only the consent of their own id"
	erase := "needs the verb erase on customerconsents.consent.codb.dev"
	runTrials(t, map[string]trial{
		"New":                   {service, create(consent(customers, "c-3")), "", ""},
		"NewElsewhere":          {root, create(consent(elsewhere, "c-3")), "consents", "a CustomerConsent belongs to a customer; make it in codb-customers"},
		"Owned":                 {root, create(consent(customers, "c-3", owned)), "consents", "a consent outlives everything else"},
		"Hidden":                {root, create(consent(customers, "c-3", fenced)), "consents", "would hide a customer's answers"},
		"HiddenLater":           {root, patch(mine, "{'metadata':{'labels':{'consent.codb.dev/class':'Fence'}}}"), "consents", "would hide a customer's answers"},
		"Labelled":              {root, patch(mine, "{'metadata':{'labels':{'tier':'gold'}}}"), "", ""},
		"Fence":                 {root, create(consent(customers, "codb-fence")), "consents", "codb keeps this name for itself"},
		"FenceByTheOperator":    {operator, create(consent(customers, "codb-fence", fenced)), "", ""},
		"NewByTheCustomer":      {who{"codb:customer:c-4", customer.groups}, create(consent(customers, "c-4")), "", ""},
		"OthersByTheCustomer":   {customer, create(consent(customers, "c-4")), "consents", ownID},
		"OptOutByTheCustomer":   {customer, patch(mine, optOut), "", ""},
		"OptOutOfSomebodyElse":  {customer, patch(other, optOut), "consents", ownID},
		"NothingOfSomebodyElse": {customer, patch(other, "{}"), "consents", ownID},
		"ReviewByACustomer":     {master(customer.name), create(review(customers)), "consents", ownID},
		"Delete":                {editor, remove(mine), "consents", erase},
		"DeleteAll": {editor, func(t *testing.T, c client.Client) error {
			return c.DeleteAllOf(t.Context(), &consentv1.CustomerConsent{}, client.InNamespace(customers), client.DryRunAll)
		}, "consents", erase},
		"DeleteOthersByTheCustomer": {master(customer.name), remove(other), "consents", ownID},
		"Erase":                     {eraser, remove(mine), "", ""},
		"Review":                    {auditor, create(review(customers)), "", ""},
		"ReviewElsewhere":           {root, create(review(elsewhere)), "consents", "a ConsentReview belongs to a customer; make it in codb-customers"},
	})
}

// TestDatesOfAnswers tries to write when customers said yes.
func TestDatesOfAnswers(t *testing.T) {
	bindPeople(t)
	at := func(ago time.Duration) string { return time.Now().Add(-ago).UTC().Format(time.RFC3339) }
	const day = 24 * time.Hour
	says := func(status, captured, more string) string {
		return "{'spec':{'relationships':[{'brand':'acme','grants':[{'purpose':'Marketing','channel':'Email','status':'" + status + "','captureDate':'" + captured + "'" + more + "}]}]}}"
	}
	named := func(name, json string) *consentv1.CustomerConsent {
		c := consent(customers, name)
		if err := yaml.Unmarshal([]byte(strings.ReplaceAll(json, "'", `"`)), c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	ofOld := at(400 * day)
	blank, old, bare := consent(customers, "dated-1"), named("dated-2", says("ConsentGiven", ofOld, "")), consent(customers, "dated-3")
	store(t, root, blank, old, bare)
	if err := env.Client.Patch(t.Context(), bare, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"managedFields":[{}]}}`))); err != nil {
		t.Fatal(err)
	}
	ahead, past := "captureDate: "+at(-day), "captureDate: "+ofOld+" is more than 30 days ago"
	right := "needs the verb import on customerconsents.consent.codb.dev"
	runTrials(t, map[string]trial{
		"Now":                   {service, create(named("dated-4", says("ConsentGiven", at(0), ""))), "", ""},
		"NewAMonthAgo":          {service, create(named("dated-4", says("ConsentGiven", at(29*day), ""))), "", ""},
		"New":                   {service, create(named("dated-4", says("ConsentGiven", ofOld, ""))), "dates", past},
		"NewByTheCustomer":      {who{"codb:customer:dated-4", customer.groups}, create(named("dated-4", says("RenewedConsentGiven", ofOld, ""))), "dates", right},
		"NewByAnImporter":       {importer, create(named("dated-4", says("ConsentGiven", ofOld, ""))), "", ""},
		"NewInTheFuture":        {root, create(named("dated-4", says("ConsentGiven", at(-day), ""))), "dates", ahead},
		"Later":                 {service, patch(blank, says("ConsentGiven", at(0), "")), "", ""},
		"LaterByAFastClock":     {service, patch(blank, says("ConsentGiven", at(-5*time.Minute), "")), "", ""},
		"DatedBack":             {service, patch(blank, says("ConsentGiven", ofOld, "")), "dates", "spec.relationships[acme].grants[Marketing, Email]." + past},
		"DatedBackByAnImporter": {importer, patch(blank, says("ConsentGiven", ofOld, "")), "", ""},
		"InTheFuture":           {importer, patch(blank, says("ConsentGiven", at(-day), "")), "dates", "has not come yet, it is 2"},
		"ConfirmedLongAgo":      {service, patch(old, says("ConsentGiven", ofOld, ",'doubleConsentCaptureDate':'"+at(300*day)+"'")), "dates", "doubleConsentCaptureDate"},
		"ConfirmedNow":          {service, patch(old, says("ConsentGiven", ofOld, ",'doubleConsentCaptureDate':'"+at(0)+"'")), "", ""},
		"SomethingElse":         {service, patch(old, "{'spec':{'language':'de'}}"), "", ""},
		"NoAtAnyTime":           {service, patch(old, says("ConsentWithdrawn", at(-day), "")), "", ""},
		"NoOfOld":               {service, patch(blank, says("ConsentRefused", ofOld, "")), "", ""},
		"Undated":               {service, patch(bare, says("ConsentGiven", at(0), "")), "dates", "nothing says when this is written"},
		"UndatedNo":             {service, patch(bare, says("ConsentRefused", at(0), "")), "", ""},
		"DatedAgain": {who{name: service.name}, func(t *testing.T, c client.Client) error {
			return c.Apply(t.Context(), applyConfiguration(map[string]any{
				"apiVersion": consentv1.SchemeGroupVersion.String(), "kind": "CustomerConsent", "metadata": map[string]any{"namespace": customers, "name": bare.Name},
				"spec": map[string]any{"relationships": []any{map[string]any{"brand": "acme", "grants": []any{map[string]any{
					"purpose": "Marketing", "channel": "Email", "status": "ConsentGiven", "captureDate": at(0),
				}}}}},
			}), client.FieldOwner("test"), client.DryRunAll)
		}, "", ""},
	})
}

func TestDecisionsAreWrittenByCodbAlone(t *testing.T) {
	ns := env.EnforcedNamespace(t)
	decision := func(name string, owners ...metav1.OwnerReference) *consentv1.CampaignDecision {
		return &consentv1.CampaignDecision{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, OwnerReferences: owners},
			Spec: consentv1.CampaignDecisionSpec{
				Campaign: consentv1.CampaignReference{Name: spring, UID: "1", Generation: 1}, Verdict: consentv1.CampaignBlocked, DecidedAt: metav1.Unix(0, 0),
			},
		}
	}
	stored := decision("spring-garden-1")
	store(t, operator, stored)
	only := "only codb writes and retires decisions"
	runTrials(t, map[string]trial{
		"New":                {operator, create(decision("new")), "", ""},
		"NewByAUser":         {root, create(decision("new")), "decisions", only},
		"Owned":              {operator, create(decision("new", byJob)), "decisions", "a decision outlives its campaign"},
		"Label":              {root, patch(stored, "{'metadata':{'labels':{'a':'b'}}}"), "decisions", only},
		"Delete":             {root, remove(stored), "decisions", only},
		"DeleteByCodb":       {operator, remove(stored), "", ""},
		"DeleteWithoutCause": {cleaner, remove(stored), "decisions", only}, // its namespace is not going away
	})
}

func TestRevisionsAreKeptByCodbAlone(t *testing.T) {
	revision := func(ns, name, label string) *appsv1.ControllerRevision {
		return &appsv1.ControllerRevision{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{label: "baseline"}},
			Revision:   1, Data: runtime.RawExtension{Raw: []byte(`{}`)},
		}
	}
	const system, ours, theirs = consentv1.SystemNamespace, consentv1.LabelPolicy, "app"
	kept, foreign := revision(system, "baseline-1", ours), revision(system, "gate-1", theirs)
	store(t, operator, kept)
	store(t, root, foreign)
	only := "only codb keeps revisions of policies"
	runTrials(t, map[string]trial{
		"New":              {operator, create(revision(system, "new", ours)), "", ""},
		"NewByAUser":       {root, create(revision(system, "new", ours)), "revisions", only},
		"Elsewhere":        {master(operator.name), create(revision("default", "new", ours)), "revisions", "revisions of policies are kept in codb-system"},
		"OfAStatefulSet":   {root, create(revision(system, "new", theirs)), "", ""},
		"Unlabel":          {root, patch(kept, "{'metadata':{'labels':{'consent.codb.dev/policy':null}}}"), "revisions", only},
		"Label":            {root, patch(foreign, "{'metadata':{'labels':{'consent.codb.dev/policy':'baseline'}}}"), "revisions", only},
		"Delete":           {root, remove(kept), "revisions", only},
		"DeleteByCodb":     {operator, remove(kept), "", ""},
		"CollectAsGarbage": {collector, remove(kept), "", ""},
		"DeleteTheForeign": {root, remove(foreign), "", ""},
	})
}

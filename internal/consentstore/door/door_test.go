package door_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// given is somebody who allows acme to write mails.
func given(name string, labels map[string]string) *v1alpha1.CustomerConsent {
	c := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.CustomersNamespace, Name: name, Labels: labels}}
	c.Spec.TimeZone = "Europe/Berlin"
	c.Spec.Relationships = []v1alpha1.Relationship{{Brand: "acme", Grants: []v1alpha1.Grant{{
		Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Status: v1alpha1.ConsentGiven,
		CaptureDate: metav1.NewTime(time.Now().Add(-time.Hour).Truncate(time.Second)),
	}}}}
	return c
}

func create(t *testing.T, name string, labels map[string]string) *v1alpha1.CustomerConsent {
	t.Helper()
	c := given(name, labels)
	if err := as(t, "admin", "system:masters").Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return c
}

// role lets somebody do what the verbs say with consents, in either group.
func role(t *testing.T, user string, verbs ...string) {
	t.Helper()
	name := strings.ReplaceAll(user, ":", "-")
	r := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.CustomersNamespace, Name: name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{v1alpha1.StoreGroupVersion.Group}, Resources: []string{"customerconsents"}, Verbs: verbs}},
	}
	b := &rbacv1.RoleBinding{
		ObjectMeta: r.ObjectMeta, RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: name},
		Subjects: []rbacv1.Subject{{APIGroup: "rbac.authorization.k8s.io", Kind: "User", Name: user}},
	}
	for _, o := range []client.Object{r, b} {
		if err := env.Client.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsWrittenIsThereWithItsAuthor(t *testing.T) {
	role(t, "clerk", "create", "get", "update")
	clerk := as(t, "clerk")
	c := given("w-1", map[string]string{"segment": "club"})
	if err := clerk.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if c.UID == "" || c.Generation != 1 || c.Status.Summary != "Given" || c.Spec.Relationships[0].Depth != v1alpha1.DepthBasic {
		t.Errorf("created: %+v", c)
	}
	c.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.NewTime(time.Now().Truncate(time.Second))}
	if err := clerk.Update(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	read := given("w-1", nil)
	if err := clerk.Get(t.Context(), client.ObjectKeyFromObject(read), read); err != nil {
		t.Fatal(err)
	}
	c.ManagedFields, read.ManagedFields = nil, nil // the order of keys is the database's
	if !equality.Semantic.DeepEqual(c, read) || read.Status.Summary != "OptedOut" || read.Generation != 2 {
		t.Errorf("(-written +read):\n%s", cmp.Diff(c, read))
	}
	history, err := store.History(t.Context(), "w-1", 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(history) != 2 || history[0].Author != "clerk" || history[1].Consent.Spec.OptOut != nil {
		t.Errorf("history: %+v", history)
	}
}

func TestWhoMayNotIsRefused(t *testing.T) {
	create(t, "r-1", nil)
	role(t, "reader", "get")
	role(t, "codb:customer:r-2", "create", "update", "patch", "get")
	role(t, "deleter", "delete", "get")
	role(t, "eraser", "delete", "erase", "get")
	role(t, "service", "create", "patch", "get")
	others := given("r-1", nil)
	role(t, "importer", "create", "patch", "get", "import")
	dated := func(name string, ago time.Duration) *v1alpha1.CustomerConsent {
		c := given(name, nil)
		c.Spec.Relationships[0].Grants[0].CaptureDate = metav1.NewTime(time.Now().Add(-ago).Truncate(time.Second))
		return c
	}
	datesBack := func(user string) error {
		patch := fmt.Sprintf(`{"spec":{"relationships":[{"brand":"acme","grants":[{"purpose":"Marketing","channel":"SMS","status":"ConsentGiven","captureDate":%q}]}]}}`,
			time.Now().AddDate(-1, 0, 0).UTC().Format(time.RFC3339))
		return as(t, user).Patch(t.Context(), others.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll)
	}
	const long, tomorrow = 365 * 24 * time.Hour, -24 * time.Hour
	mine := given("r-2", nil)
	read := func(user string) error {
		return as(t, user).Get(t.Context(), client.ObjectKeyFromObject(others), others.DeepCopy())
	}
	write := func(user string, c *v1alpha1.CustomerConsent) error {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"language":"de"}}`))
		return as(t, user).Patch(t.Context(), c.DeepCopy(), patch)
	}
	admin := as(t, "a", "system:masters")
	elsewhere := given("r-4", nil)
	elsewhere.Namespace = "default"
	tests := []struct { // in the order in which they build on each other
		name string
		do   func() error
		want string // nothing: it is allowed
	}{
		{"NobodyReadsWithoutARole", func() error { return read("somebody") }, "cannot get resource"},
		{"AReaderReads", func() error { return read("reader") }, ""},
		{"AReaderWritesNothing", func() error { return write("reader", others) }, "cannot patch resource"},
		{"ACustomerWritesTheirOwn", func() error { return as(t, "codb:customer:r-2").Create(t.Context(), mine) }, ""},
		{"ACustomerWritesNobodyElses", func() error { return write("codb:customer:r-2", others) }, "a customer writes only the consent of their own id"},
		{"DeletingNeedsTheVerbErase", func() error { return as(t, "deleter").Delete(t.Context(), others) }, "needs the verb erase on customerconsents.store.consent.codb.dev"},
		{"WhoHasTheVerbMayErase", func() error { return as(t, "eraser").Delete(t.Context(), given("r-2", nil)) }, ""},
		{"AYesOfLastYearIsNotForEverybody", func() error { return as(t, "service").Create(t.Context(), dated("r-5", long)) }, "needs the verb import on customerconsents.store.consent.codb.dev"},
		{"AYesOfTomorrowIsForNobody", func() error { return as(t, "importer").Create(t.Context(), dated("r-5", tomorrow)) }, "has not come yet"},
		{"AnImporterWritesAYesOfLastYear", func() error { return as(t, "importer").Create(t.Context(), dated("r-5", long)) }, ""},
		{"NorIsOneDatedBackLater", func() error { return datesBack("service") }, "needs the verb import on customerconsents.store.consent.codb.dev"},
		{"AnImporterDatesBack", func() error { return datesBack("importer") }, ""},
		{"NobodyMakesAFence", func() error { return admin.Create(t.Context(), given("codb-fence", nil)) }, "codb keeps this name"},
		{"NobodyHidesACustomersAnswers", func() error {
			return admin.Create(t.Context(), given("r-3", map[string]string{v1alpha1.LabelClass: "Fence"}))
		}, "would hide a customer's answers"},
		{"NobodyIsWrittenElsewhere", func() error { return admin.Create(t.Context(), elsewhere.DeepCopy()) }, "make it in codb-customers"},
		{"NobodyIsReadElsewhere", func() error {
			return admin.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "r-1"}, elsewhere.DeepCopy())
		}, "not found"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.do()
			if (tc.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	history, err := store.History(t.Context(), "r-2", 10)
	if err != nil || len(history) != 2 || history[0].Consent != nil || history[1].Consent != nil || history[0].Author != "eraser" {
		t.Errorf("erased, and there is %+v, %v", history, err)
	}
}

func TestTheCRDHoldsAtTheDoor(t *testing.T) {
	admin := as(t, "admin", "system:masters")
	withdrawn := given("v-1", nil)
	withdrawn.Spec.Relationships[0].Grants[0].Status = v1alpha1.ConsentWithdrawn
	if err := admin.Create(t.Context(), withdrawn); err != nil {
		t.Fatal(err)
	}
	nameless := given("", nil)
	nameless.GenerateName = "v-"
	tests := map[string]struct {
		do   func() error
		want string
	}{
		"AnAddressForAName": {func() error { return admin.Create(t.Context(), given("a.person", nil)) }, "opaque principal id"},
		"AnOldYesAfterANo": {func() error {
			return patch(t, admin, "v-1", `[{"op":"replace","path":"/spec/relationships/0/grants/0/status","value":"ConsentGiven"}]`)
		}, "only a new answer"},
		"NoWordOfTheList": {func() error {
			return patch(t, admin, "v-1", `[{"op":"add","path":"/spec/lifeStage","value":"Pirate"}]`)
		}, "Unsupported value"},
		"AnUnknownField": {func() error { return patch(t, admin, "v-1", `[{"op":"add","path":"/spec/favourite","value":"x"}]`) }, "unknown field"},
		"TwoAnswersOfOneKey": {func() error {
			return patch(t, admin, "v-1", `[{"op":"copy","from":"/spec/relationships/0","path":"/spec/relationships/1"}]`)
		}, "Duplicate value"},
		"AnotherName": {func() error {
			return patch(t, admin, "v-1", `[{"op":"replace","path":"/metadata/name","value":"v-2"}]`)
		}, "name"},
		"Finalizers": {func() error {
			return patch(t, admin, "v-1", `[{"op":"add","path":"/metadata/finalizers","value":["a.example/b"]}]`)
		}, "nothing waits"},
		"AnOldVersion": {func() error {
			return patch(t, admin, "v-1", `[{"op":"replace","path":"/metadata/resourceVersion","value":"1"}]`)
		}, "has changed"},
		"NobodyThere": {func() error { return patch(t, admin, "v-404", `[{"op":"add","path":"/spec/language","value":"de"}]`) }, "not found"},
		"TwiceNew":    {func() error { return admin.Create(t.Context(), given("v-1", nil)) }, "already exists"},
		"NoName":      {func() error { c := given("", nil); c.GenerateName = "v-"; return admin.Create(t.Context(), c) }, "principal id"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if err := tc.do(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	if history, err := store.History(t.Context(), "v-1", 10); err != nil || len(history) != 1 {
		t.Errorf("%d revisions after nothing was taken, %v", len(history), err)
	}
}

func patch(t *testing.T, c client.Client, name, ops string) error {
	t.Helper()
	return c.Patch(t.Context(), given(name, nil), client.RawPatch(types.JSONPatchType, []byte(ops)),
		&client.PatchOptions{Raw: &metav1.PatchOptions{FieldValidation: metav1.FieldValidationStrict}})
}

func TestServerSideApplyKnowsWhoSaidWhat(t *testing.T) {
	apply := func(manager, spec string, options ...string) (string, error) {
		path := write(t, `{"apiVersion":"store.consent.codb.dev/v1alpha1","kind":"CustomerConsent","metadata":{"name":"s-1","namespace":"codb-customers"},"spec":`+spec+`}`)
		return env.Kubectl(t, append([]string{"apply", "--server-side", "--field-manager=" + manager, "-f", path}, options...)...)
	}
	answer := func(channel, status string) string {
		return `{"relationships":[{"brand":"acme","grants":[{"purpose":"Marketing","channel":"` + channel + `","status":"` + status + `","captureDate":"2026-03-01T09:00:00Z"}]}]}`
	}
	for manager, spec := range map[string]string{"portal": answer("Email", "ConsentGiven"), "shop": answer("Post", "ConsentGiven")} {
		if out, err := apply(manager, spec); err != nil {
			t.Fatalf("%s: %v: %s", manager, err, out)
		}
	}
	before := revision(t, "s-1")
	if out, err := apply("shop", answer("Post", "ConsentGiven")); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if after := revision(t, "s-1"); after != before {
		t.Errorf("saying the same again made %s of revision %s", after, before)
	}
	if out, err := apply("shop", answer("Email", "ConsentRefused")); err == nil || !strings.Contains(out, `conflict with "portal"`) {
		t.Errorf("shop took portal's answer over: %v: %s", err, out)
	}
	if out, err := apply("shop", answer("Phone", "ConsentGiven")); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c := given("s-1", nil)
	if err := as(t, "admin", "system:masters").Get(t.Context(), client.ObjectKeyFromObject(c), c); err != nil {
		t.Fatal(err)
	}
	var channels []v1alpha1.Channel
	for _, g := range c.Spec.Relationships[0].Grants {
		channels = append(channels, g.Channel)
	}
	if diff := cmp.Diff([]v1alpha1.Channel{"Email", "Phone"}, channels); diff != "" {
		t.Errorf("what shop left out is taken back, and portal's stays (-want +got):\n%s", diff)
	}
}

func TestListsArePagedAndNarrowed(t *testing.T) {
	for _, name := range []string{"l-1", "l-2", "l-3"} {
		create(t, name, map[string]string{"list": "yes", "name": name})
	}
	admin := as(t, "admin", "system:masters")
	out := create(t, "l-4", map[string]string{"list": "yes"})
	out.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.Now()}
	if err := admin.Update(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	names := func(o ...client.ListOption) (names []string, next string) {
		var list v1alpha1.CustomerConsentList
		if err := admin.List(t.Context(), &list, append(o, client.InNamespace(v1alpha1.CustomersNamespace))...); err != nil {
			t.Fatal(err)
		}
		for i := range list.Items {
			names = append(names, list.Items[i].Name)
		}
		return names, list.Continue
	}
	yes := client.MatchingLabels{"list": "yes"}
	first, next := names(yes, client.Limit(3))
	rest, end := names(yes, client.Limit(3), client.Continue(next))
	if diff := cmp.Diff([][]string{{"l-1", "l-2", "l-3"}, {"l-4"}}, [][]string{first, rest}); diff != "" || end != "" {
		t.Errorf("two pages, then %q (-want +got):\n%s", end, diff)
	}
	given, _ := names(yes, client.MatchingFields{"status.summary": "OptedOut"})
	one, _ := names(client.MatchingFields{"metadata.name": "l-2"})
	if diff := cmp.Diff([][]string{{"l-4"}, {"l-2"}}, [][]string{given, one}); diff != "" {
		t.Errorf("narrowed (-want +got):\n%s", diff)
	}
}

// TestKubectlSeesThemFirst types what people type.
func TestKubectlSeesThemFirst(t *testing.T) {
	create(t, "k-1", nil)
	out, err := env.Kubectl(t, "-n", "codb-customers", "get", "customerconsents", "k-1")
	if fields := strings.Fields(out); err != nil || len(fields) < 10 || strings.Join(fields[:6], " ") != "NAME GIVEN BRANDS UNTIL ZONE AGE" || fields[6] != "k-1" || fields[7] != "Given" {
		t.Errorf("kubectl get: %v\n%s", err, out)
	}
	out, err = env.Kubectl(t, "explain", "customerconsents.spec.optOut.since", "--api-version=store.consent.codb.dev/v1alpha1")
	if err != nil || !strings.Contains(out, "since is when the customer said so") {
		t.Errorf("kubectl explain: %v\n%s", err, out)
	}
	out, err = env.Kubectl(t, "-n", "codb-customers", "patch", "cc", "k-1", "--type=merge", "-p", `{"spec":{"pause":{"from":"2026-01-01T00:00:00Z","until":"2099-01-01T00:00:00Z"}}}`)
	if err != nil || !strings.Contains(out, "customerconsent.store.consent.codb.dev/k-1 patched") {
		t.Errorf("kubectl patch: %v\n%s", err, out)
	}
	out, err = env.Kubectl(t, "-n", "codb-customers", "delete", "cc", "k-1")
	if err != nil || !strings.Contains(out, "deleted") {
		t.Errorf("kubectl delete: %v\n%s", err, out)
	}
}

// TestDryRunsWriteNothing: every verb judges, and that is all.
func TestDryRunsWriteNothing(t *testing.T) {
	admin := as(t, "admin", "system:masters")
	c := create(t, "d-1", nil)
	changed := c.DeepCopy()
	changed.Spec.Language = "de"
	for what, err := range map[string]error{
		"create": admin.Create(t.Context(), given("d-2", nil), client.DryRunAll),
		"update": admin.Update(t.Context(), changed, client.DryRunAll),
		"delete": admin.Delete(t.Context(), c, client.DryRunAll),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := admin.Get(t.Context(), client.ObjectKeyFromObject(given("d-2", nil)), given("d-2", nil)); !apierrors.IsNotFound(err) {
		t.Errorf("what was tried is there: %v", err)
	}
	if history, err := store.History(t.Context(), "d-1", 10); err != nil || len(history) != 1 {
		t.Errorf("%d revisions, %v", len(history), err)
	}
}

// TestDiscoveryDoesNotSayWatch: whatever it says can be watched is, by
// Kubernetes' own controllers, with everybody in memory.
func TestDiscoveryDoesNotSayWatch(t *testing.T) {
	d, err := discovery.NewDiscoveryClientForConfig(env.Config)
	if err != nil {
		t.Fatal(err)
	}
	want := metav1.Verbs{"create", "delete", "get", "list", "patch", "update"}
	for name, legacy := range map[string]bool{"AllAtOnce": false, "GroupByGroup": true} {
		t.Run(name, func(t *testing.T) {
			d.UseLegacyDiscovery = legacy
			lists, err := d.ServerPreferredResources()
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range lists {
				if l.GroupVersion == v1alpha1.StoreGroupVersion.String() {
					if len(l.APIResources) != 1 {
						t.Fatalf("discovery: %+v", l.APIResources)
					}
					if diff := cmp.Diff(want, l.APIResources[0].Verbs); diff != "" {
						t.Errorf("verbs (-want +got):\n%s", diff)
					}
					if got := l.APIResources[0]; got.Kind != "CustomerConsent" || !got.Namespaced || !slices.Contains(got.ShortNames, "cc") {
						t.Errorf("discovery: %+v", got)
					}
					return
				}
			}
			t.Errorf("the group is not in %v", lists)
		})
	}
}

func revision(t *testing.T, name string) string {
	t.Helper()
	c, err := store.Now(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return c.ResourceVersion
}

// TestWithoutItsRulesNobodyWrites takes codb's admission policies away: anybody
// with a customer's role could write anybody's consent then, of any day.
func TestWithoutItsRulesNobodyWrites(t *testing.T) {
	admin := as(t, "admin", "system:masters")
	c := create(t, "p-1", nil)
	for _, policy := range []string{"campaign-consents", "campaign-dates"} {
		t.Run(policy, func(t *testing.T) { writingEndsWithout(t, admin, c, policy+"."+v1alpha1.Group) })
	}
	for {
		err := as(t, "codb:customer:p-9", "system:masters").Update(t.Context(), c)
		if strings.Contains(fmt.Sprint(err), "their own id") {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("the rules hold: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func writingEndsWithout(t *testing.T, admin client.Client, c *v1alpha1.CustomerConsent, policy string) {
	b := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
	if err := env.Client.Get(t.Context(), client.ObjectKey{Name: policy}, b); err != nil {
		t.Fatal(err)
	}
	if err := env.Client.Delete(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	until := func(what string, done func(error) bool) {
		t.Helper()
		for {
			c.Spec.Language = map[v1alpha1.Language]v1alpha1.Language{"": "de", "de": "fr", "fr": "de"}[c.Spec.Language]
			err := admin.Update(t.Context(), c)
			if done(err) {
				return
			}
			select {
			case <-t.Context().Done():
				t.Fatalf("%s: %v", what, err)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	until("writing ends", func(err error) bool { return err != nil && strings.Contains(err.Error(), "is not in force") })
	if err := admin.Get(t.Context(), client.ObjectKeyFromObject(c), c); err != nil {
		t.Errorf("reading goes on: %v", err)
	}
	b.ResourceVersion, b.UID = "", ""
	if err := env.Client.Create(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	until("writing goes on", func(err error) bool { return err == nil })
}

package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/util/cache"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/permit"
)

// crm may report on acme, and on nothing else.
const crm = "operator:reportacme"

func anEvent(change ...string) string {
	e := `{"key":"order-1","type":"Purchase","principal":"c-1","brand":"acme","at":"2026-03-02T11:00:00Z","channel":"Web"}`
	for i := 0; i < len(change); i += 2 {
		e = strings.Replace(e, change[i], change[i+1], 1)
	}
	return e
}

func TestEventsOfOtherSystems(t *testing.T) {
	h := newHouse(t)
	report := func(status int, events ...string) appendResponse {
		t.Helper()
		got, _, text := h.ask("POST", "/v1/events", crm, `{"events":[`+strings.Join(events, ",")+`]}`)
		var out appendResponse
		if err := json.Unmarshal([]byte(text), &out); err != nil || got != status {
			t.Fatalf("%d %s: %v", got, text, err)
		}
		return out
	}
	bounce := anEvent("order-1", "mail-1", "Purchase", "HardBounce", "Web", "Email")
	first := report(http.StatusOK, anEvent(), bounce)
	if diff := cmp.Diff([]contacts.Result{{Sequence: 1}, {Sequence: 2}}, first.Results); diff != "" || first.Ledger != h.ledger.ID() {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]contacts.Result{{Sequence: 1, Duplicate: true}}, report(http.StatusOK, anEvent()).Results); diff != "" {
		t.Errorf("the same again (-want +got):\n%s", diff)
	}
	report(http.StatusConflict, anEvent("Purchase", "Inquiry"))
	report(http.StatusOK, anEvent("order-1", "order-2"))

	p := contacts.NewProjection(contacts.LookBack)
	page, err := h.ledger.After(t.Context(), 0, 10)
	if err != nil || p.Apply(page) != nil {
		t.Fatal(err)
	}
	got, _ := p.View(noon).Contacts("c-1")
	var types []string
	for _, e := range got.Events {
		types = append(types, e.Type+" "+e.Brand+" "+e.Channel+" "+time.Unix(0, e.At).UTC().Format(time.TimeOnly))
	}
	if diff := cmp.Diff([]string{"Purchase acme Web 11:00:00", "HardBounce acme Email 11:00:00", "Purchase acme Web 11:00:00"}, types); diff != "" || len(got.Sent) != 0 {
		t.Errorf("what policies see (-want +got):\n%s", diff)
	}
}

func TestEventsThatAreRefused(t *testing.T) {
	h := newHouse(t)
	for name, tc := range map[string]struct {
		token, events string
		status        int
		field         string
	}{
		"NoToken":            {"", anEvent(), 401, ""},
		"AForgedToken":       {"forged", anEvent(), 401, ""},
		"WhoMayNot":          {"nobody", anEvent(), 403, ""},
		"AnotherBrand":       {crm, anEvent() + "," + anEvent("acme", "globex"), 403, ""},
		"AnotherVerb":        {"operator:create", anEvent(), 403, ""},
		"NobodyKnowsWho":     {"lost", anEvent(), 503, ""},
		"None":               {crm, "", 422, "events"},
		"TooMany":            {crm, anEvent() + strings.Repeat(","+anEvent(), maxPermits), 422, "events"},
		"TooLarge":           {crm, anEvent("order-1", strings.Repeat("o", maxPermitBody)), 413, "body"},
		"AContact":           {crm, anEvent("Purchase", "Sent"), 422, "events[0].type"},
		"APermit":            {crm, anEvent("Purchase", "Drawn"), 422, "events[0].type"},
		"InTheFuture":        {crm, anEvent("11:00", "12:02"), 422, "events[0].at"},
		"TooLongAgo":         {crm, anEvent("2026-03-02", "2023-02-28"), 422, "events[0].at"},
		"AtNoTime":           {crm, anEvent(`"at":"2026-03-02T11:00:00Z",`, ""), 422, "events[0].at"},
		"NoKey":              {crm, anEvent("order-1", ""), 422, "events[0].key"},
		"AKeyWithAnAddress":  {crm, anEvent("order-1", "secret@example.org"), 422, "events[0].key"},
		"NobodysEvent":       {crm, anEvent("c-1", "Secret Name"), 422, "events[0].principal"},
		"NoBrand":            {crm, anEvent("acme", ""), 422, "events[0].brand"},
		"ABounceOfNoChannel": {crm, anEvent("Purchase", "HardBounce", `,"channel":"Web"`, ""), 422, "events[0].channel"},
		"AnUnknownChannel":   {crm, anEvent("Web", "Telex"), 422, "events[0].channel"},
		"AnUnknownField":     {crm, anEvent(`"key"`, `"permit":"p","key"`), 400, "events[0].permit"},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, text := h.ask("POST", "/v1/events", tc.token, `{"events":[`+tc.events+`]}`)
			var p Problem
			if err := json.Unmarshal([]byte(text), &p); err != nil || status != tc.status || p.Field != tc.field || p.Remedy == "" {
				t.Errorf("got %d %s; want %d, field %q", status, text, tc.status, tc.field)
			}
			if strings.Contains(strings.ToLower(text), "secret") || strings.Contains(strings.ToLower(h.logs.String()), "secret") {
				t.Errorf("somebody is named: %s", text)
			}
		})
	}
	if n := h.ledger.Sequence(); n != 0 {
		t.Errorf("%d records were written", n)
	}
	if !strings.Contains(h.logs.String(), `"brand"="globex"`) {
		t.Errorf("no line for auditors says which brand: %s", h.logs)
	}
}

// A suppression stops the permit that is out.
func TestAnUnsubscribeElsewhereStopsTheNextMessage(t *testing.T) {
	h, w := newPermitHouse(t, "c-1", "c-2")
	w.change(func() { w.suppress = true })
	var d Drawn
	h.permits("draw", `{"max":2}`, &d)
	if status, _, text := h.ask("POST", "/v1/events", crm, `{"events":[`+anEvent("Purchase", "Unsubscribe", "c-1", d.Permits[0].Principal)+`]}`); status != http.StatusOK {
		t.Fatalf("report: %d %s", status, text)
	}
	var out redeemResponse
	h.permits("redeem", fmt.Sprintf(`{"permits":[%q,%q]}`, d.Permits[0].Permit, d.Permits[1].Permit), &out)
	if r := out.Results; r[0].State != permit.Refused || r[0].Reasons[0].Code != "Suppressed" || r[1].State != permit.Redeemed {
		t.Errorf("redeemed: %+v", r)
	}
}

func TestWhatIsAskedOfTheClusterForABrand(t *testing.T) {
	var asked []authorizationv1.ResourceAttributes
	c := &Cluster{
		tokens: reviews[*authenticationv1.TokenReview](func(r *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
			r.Status = authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{Audience}, User: authenticationv1.UserInfo{Username: "u"}}
			return r, nil
		}),
		access: reviews[*authorizationv1.SubjectAccessReview](func(r *authorizationv1.SubjectAccessReview) (*authorizationv1.SubjectAccessReview, error) {
			asked = append(asked, *r.Spec.ResourceAttributes)
			r.Status.Allowed = r.Spec.ResourceAttributes.Name == "acme"
			return r, nil
		}),
		namespace: "codb-customers", yes: cache.NewLRUExpireCache(8),
	}
	for brand, want := range map[string]error{"acme": nil, "globex": ErrForbidden} {
		if _, err := c.Admit(t.Context(), "t", Access{Verb: v1alpha1.VerbReport, Brand: brand}); !errors.Is(err, want) {
			t.Errorf("%s: %v", brand, err)
		}
	}
	if _, err := c.Admit(t.Context(), "t", Access{}); err != nil || len(asked) != 2 {
		t.Errorf("who it is: %v after %d reviews", err, len(asked))
	}
	for _, a := range asked {
		a.Name = ""
		if a != (authorizationv1.ResourceAttributes{Group: v1alpha1.Group, Resource: "brands", Verb: "report"}) {
			t.Errorf("asked for %+v", a)
		}
	}
}

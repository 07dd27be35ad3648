package gate

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/permit"
)

type openAPI struct {
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]schema `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	OperationID string         `json:"operationId"`
	Security    *[]any         `json:"security"`
	Responses   map[string]any `json:"responses"`
}

type schema struct {
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
	Enum       []string          `json:"enum"`
}

func readOpenAPI(t *testing.T) openAPI {
	t.Helper()
	data, err := os.ReadFile("../../docs/gate-openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc openAPI
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTheDescriptionHasEveryRouteAndNoOther(t *testing.T) {
	doc := readOpenAPI(t)
	var described, served []string
	for path, operations := range doc.Paths {
		for method, op := range operations {
			described = append(described, strings.ToUpper(method)+" "+path)
			if op.OperationID == "" || op.Responses["200"] == nil {
				t.Errorf("%s %s: no name or no success", method, path)
			}
		}
	}
	for _, r := range routes {
		served = append(served, r.method+" "+r.path)
		op := doc.Paths[r.path][strings.ToLower(r.method)]
		if open := op.Security != nil && len(*op.Security) == 0; open != (r.verb == "" && !r.known && r.permits == nil) {
			t.Errorf("%s %s: described as open to everybody: %v", r.method, r.path, open)
		}
	}
	slices.Sort(described)
	slices.Sort(served)
	if diff := cmp.Diff(served, described); diff != "" {
		t.Errorf("routes (-served +described):\n%s", diff)
	}
}

func TestTheDescriptionHasEveryFieldAndNoOther(t *testing.T) {
	doc := readOpenAPI(t)
	for name, v := range map[string]any{
		"AppendRequest": appendRequest{}, "EventsRequest": eventsRequest{}, "StreamQuestion": streamed{}, "StreamAnswer": streamAnswer{}, "Event": event{}, "AppendResponse": appendResponse{}, "PrincipalResponse": principalResponse{},
		"DrawRequest": drawRequest{}, "DrawResponse": Drawn{}, "Permit": DrawnPermit{}, "RedeemRequest": redeemRequest{},
		"RedeemResponse": redeemResponse{}, "Redeemed": Redeemed{}, "Reason": RefusedReason{}, "ReportRequest": reportRequest{},
		"Outcome": Outcome{}, "ReportResponse": reportResponse{}, "Reported": Reported{},
		"ReleaseRequest": releaseRequest{}, "ReleaseResponse": releaseResponse{}, "Released": Released{},
		"Record": contacts.Record{}, "Result": contacts.Result{}, "Page": contacts.Page{}, "Problem": Problem{},
	} {
		described := doc.Components.Schemas[name]
		if diff := cmp.Diff(jsonFields(reflect.TypeOf(v)), keys(described.Properties)); diff != "" {
			t.Errorf("%s (-Go +description):\n%s", name, diff)
		}
		for _, field := range described.Required {
			if _, ok := described.Properties[field]; !ok {
				t.Errorf("%s requires %s, which it does not have", name, field)
			}
		}
	}
	campaign := doc.Components.Schemas["Record"].Properties["campaign"]
	if diff := cmp.Diff(jsonFields(reflect.TypeOf(contacts.Campaign{})), keys(campaign.Properties)); diff != "" {
		t.Errorf("Record.campaign (-Go +description):\n%s", diff)
	}
}

// TestTheDescriptionsWordsAreTaken offers each word of each enumeration to the
// validation; that it takes no others is tested with the bad input.
func TestTheDescriptionsWordsAreTaken(t *testing.T) {
	record := readOpenAPI(t).Components.Schemas["Record"]
	for field, set := range map[string]func(*contacts.Record, string){
		"event":   func(r *contacts.Record, v string) { *r = eventful(contacts.Event(v)) },
		"class":   func(r *contacts.Record, v string) { reflect.ValueOf(&r.Class).Elem().SetString(v) },
		"channel": func(r *contacts.Record, v string) { reflect.ValueOf(&r.Channel).Elem().SetString(v) },
	} {
		words := record.Properties[field].Enum
		if len(words) < 2 {
			t.Errorf("%s has no words", field)
		}
		for _, word := range words {
			r := sent(1, "c-1")
			set(&r, word)
			if err := contacts.Validate([]contacts.Record{r}, noon); err != nil {
				t.Errorf("%s %s: %v", field, word, err)
			}
		}
	}
}

// eventful is a record of any event, with the permit that some have.
func eventful(e contacts.Event) contacts.Record {
	switch r := contacts.Restore("b-1", noon, noon); e {
	case contacts.Restored:
		return r
	case contacts.Vouched:
		r.Event, r.Until, r.Detail = e, time.Time{}, "nothing is missing"
		return r
	}
	r := sent(1, "c-1")
	r.Event = e
	state, of := map[contacts.Event]contacts.State{
		contacts.Drawn: contacts.StateDrawn, contacts.Redeemed: contacts.StateRedeemed, contacts.Expired: contacts.StateExpired,
		contacts.Voided: contacts.StateVoided, contacts.Returned: contacts.StateReleased, contacts.Failed: contacts.StateReported,
	}[e]
	if of {
		r.Permit, r.State, r.Pod, r.Until = "p-1", state, "pod-1", noon
		r.Campaign = contacts.Campaign{Namespace: "acme-shop", Name: "spring", UID: "u-1", Generation: 1, Job: "j-1"}
	}
	return r
}

// TestTheDescriptionsOutcomesAreAll compares words that are no Go fields.
func TestTheDescriptionsOutcomesAreAll(t *testing.T) {
	doc := readOpenAPI(t)
	if diff := cmp.Diff(permit.Outcomes(), doc.Components.Schemas["Outcome"].Properties["outcome"].Enum); diff != "" {
		t.Errorf("outcomes (-Go +description):\n%s", diff)
	}
	answers := []string{
		string(permit.Redeemed), string(permit.Refused), string(permit.Expired), string(permit.Voided), string(permit.Unknown), string(permit.AlreadyRedeemed),
	}
	if diff := cmp.Diff(answers, doc.Components.Schemas["Redeemed"].Properties["state"].Enum); diff != "" {
		t.Errorf("answers (-Go +description):\n%s", diff)
	}
}

func jsonFields(t reflect.Type) []string {
	var out []string
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func keys(m map[string]schema) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

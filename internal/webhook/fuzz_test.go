package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/internal/webhook"
	"github.com/codb-dev/codb/policies"
)

// TestMain lets the test binary be its own policy worker.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "policy-worker" {
		lib, err := policy.LoadLibrary(policies.FS)
		if err != nil {
			os.Exit(2)
		}
		os.Exit(policy.WorkerMain(lib, os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

func review(operation, spec, old string) []byte {
	object := func(spec string) string {
		if spec == "" {
			return "null"
		}
		return `{"apiVersion": "consent.codb.dev/v1alpha1", "kind": "CampaignPolicy", "metadata": {"name": "own"}, "spec": ` + spec + `}`
	}
	return fmt.Appendf(nil, `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
		"uid": "u-1", "kind": {"group": "consent.codb.dev", "version": "v1alpha1", "kind": "CampaignPolicy"},
		"resource": {"group": "consent.codb.dev", "version": "v1alpha1", "resource": "campaignpolicies"},
		"name": "own", "operation": %q, "object": %s, "oldObject": %s}}`, operation, object(spec), object(old))
}

var (
	good = `{"rules": [{"name": "frequency-cap", "with": {"max": 2}}], "tests": [{"name": "empty", "customer": {}, "expect": {"verdict": "Allow"}}]}`
	own  = `{"rego": "package codb.policy\nimport rego.v2\ndeny contains {\"code\": \"No\", \"message\": \"no\"} if input.customer.optOut"}`
	bad  = `{"rego": "package codb.policy\nimport rego.v2\nallow if http.send({})"}`
)

// FuzzReview sends the webhook any bytes for a review. It must answer each
// well-formed one in its own name and soon, and let nothing in that can't be a
// policy.
func FuzzReview(f *testing.F) {
	for _, seed := range [][]byte{
		review("CREATE", good, ""), review("CREATE", own, ""), review("CREATE", bad, ""), review("UPDATE", bad, bad), review("UPDATE", bad, good),
		review("UPDATE", own, ""), review("DELETE", "", good), review("CONNECT", "", ""), review("CREATE", `{}`, ""), review("CREATE", `[]`, ""),
		review("CREATE", `{"rules": [{"name": "frequency-cap", "with": "x"}], "tests": [{"name": "a", "customer": null, "campaign": 7}]}`, ""),
		bytes.ReplaceAll(review("CREATE", good, ""), []byte("io/v1"), []byte("io/v1beta1")),
		[]byte(`{"request": null}`), []byte(`{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}`), []byte("k8s\x00"), nil,
		[]byte(strings.Repeat(`{"a":`, 20000)),
	} {
		f.Add(seed)
	}
	lib := library(f)
	sandbox := policy.NewSandbox(lib, policy.Options{Command: []string{os.Args[0], "policy-worker"}, Workers: 1})
	f.Cleanup(func() { _ = sandbox.Close() })
	handler := handler(f, sandbox.Check)
	f.Fuzz(func(t *testing.T, body []byte) {
		begun := time.Now()
		got := ask(t, handler, body)
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("took %s", took)
		}
		var asked admissionv1.AdmissionReview
		if got == nil || json.Unmarshal(body, &asked) != nil || asked.Request == nil {
			return
		}
		if got.UID != asked.Request.UID && got.Result.Code != http.StatusBadRequest {
			t.Errorf("an answer to %q, asked was %q", got.UID, asked.Request.UID)
		}
		var p v1alpha1.CampaignPolicy
		if got.Allowed && asked.Request.Operation == admissionv1.Create {
			if err := json.Unmarshal(asked.Request.Object.Raw, &p); err != nil || len(lib.Lint("own", &p.Spec)) > 0 {
				t.Errorf("let in: %v %v", err, lib.Lint("own", &p.Spec))
			}
		}
	})
}

func library(t testing.TB) *policy.Library {
	t.Helper()
	lib, err := policy.LoadLibrary(policies.FS)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// handler is the webhook around a check. It recovers from no panic.
func handler(t testing.TB, check func(context.Context, policy.Policy) (policy.Report, error)) http.Handler {
	t.Helper()
	s := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	return admission.WithValidator(s, webhook.Policies{Check: func(ctx context.Context, p *v1alpha1.CampaignPolicy) (wrong field.ErrorList, failing []string, err error) {
		report, err := check(ctx, policy.FromObject(p))
		for _, problem := range report.Problems {
			wrong = append(wrong, field.Invalid(field.NewPath(problem.Field), "", problem.String()))
		}
		return wrong, nil, err
	}})
}

// ask posts a review as the apiserver does; nil: there was no answer to read.
func ask(t *testing.T, handler http.Handler, body []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	var got admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Response == nil {
		t.Errorf("no answer: %v %q", err, w.Body)
		return nil
	}
	return got.Response
}

// What the seeds are about, said once: the fuzz target must not be blind.
func TestReviews(t *testing.T) {
	lib := library(t)
	handler := handler(t, func(_ context.Context, p policy.Policy) (policy.Report, error) {
		return policy.Report{Problems: lib.Lint(p.Name, &v1alpha1.CampaignPolicySpec{Rules: p.Rules, Rego: p.Rego, Tests: p.Tests})}, nil
	})
	for name, c := range map[string]struct {
		body []byte
		want bool
	}{
		"AGoodOne":               {review("CREATE", good, ""), true},
		"OwnRego":                {review("CREATE", own, ""), true},
		"ForbiddenRego":          {review("CREATE", bad, ""), false},
		"ChangedToForbiddenRego": {review("UPDATE", bad, good), false},
		"LeftAsItIs":             {review("UPDATE", bad, bad), true},
		"Deleted":                {review("DELETE", "", bad), true},
		"NoPolicy":               {review("CREATE", `[]`, ""), false},
		"NoReview":               {[]byte(`{}`), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ask(t, handler, c.body); got.Allowed != c.want {
				t.Errorf("allowed = %t, want %t: %+v", got.Allowed, c.want, got.Result)
			}
		})
	}
}

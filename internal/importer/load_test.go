package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/test/apiserver"
)

// ledger keeps records by key, under the rules of the real one.
type ledger struct {
	kept  map[string]contacts.Record
	err   error
	after func()
}

func (l *ledger) Append(_ context.Context, records []contacts.Record) ([]contacts.Result, error) {
	if l.err != nil {
		return nil, l.err
	}
	if err := contacts.Validate(records, asOf); err != nil {
		return nil, err
	}
	if l.kept == nil {
		l.kept = map[string]contacts.Record{}
	}
	for i, r := range records {
		if was, ok := l.kept[r.Key]; ok && !cmp.Equal(was, r) {
			return nil, &contacts.ConflictError{Index: i}
		}
		l.kept[r.Key] = r
	}
	if l.after != nil {
		l.after()
	}
	return make([]contacts.Result, len(records)), nil
}

// writer answers every apply and counts them.
type writer struct {
	client.Client
	answer func(customer string, n int) error

	mu      sync.Mutex
	applied int
	groups  map[string]int // how many came by each apiVersion
}

func (w *writer) Apply(ctx context.Context, obj runtime.ApplyConfiguration, _ ...client.ApplyOption) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.applied++
	if o, ok := obj.(interface{ GetAPIVersion() string }); ok {
		if w.groups == nil {
			w.groups = map[string]int{}
		}
		w.groups[o.GetAPIVersion()]++
	}
	if err := ctx.Err(); err != nil || w.answer == nil {
		return err
	}
	return w.answer(obj.(interface{ GetName() string }).GetName(), w.applied)
}

func options(change func(*Options)) Options {
	o := Options{
		File: dataFile, Limit: 500, Profile: "demo", Brand: "acme", Namespace: "customers",
		Seed: DefaultSeed, AsOf: asOf, Client: &writer{}, Contacts: &ledger{}, Concurrency: 1,
	}
	if change != nil {
		change(&o)
	}
	return o
}

func TestRunRefusesOptions(t *testing.T) {
	tests := map[string]struct {
		change func(*Options)
		want   []string
	}{
		"AProfileItDoesNotKnow":    {func(o *Options) { o.Profile = "rosy" }, []string{`"rosy"`, "as-recorded or demo"}},
		"ABrandThatIsNoName":       {func(o *Options) { o.Brand = "Acme!" }, []string{`"Acme!"`, "a-z"}},
		"ANamespaceThatIsNone":     {func(o *Options) { o.Namespace = "" }, []string{"namespace", "codb-customers"}},
		"ANegativeLimit":           {func(o *Options) { o.Limit = -1 }, []string{"limit -1", "0"}},
		"ANegativeConcurrency":     {func(o *Options) { o.Concurrency = -1 }, []string{"concurrency -1", "16"}},
		"NoAsOf":                   {func(o *Options) { o.AsOf = time.Time{} }, []string{"as-of 0001-01-01", "2022"}},
		"NobodyToKeepTheContacts":  {func(o *Options) { o.Contacts = nil }, []string{"caps", "gate"}},
		"NobodyToWriteTheCustomer": {func(o *Options) { o.Client = nil }, []string{"client"}},
		"AFileThatIsNotThere":      {func(o *Options) { o.File = "nowhere.csv" }, []string{"open", "nowhere.csv"}},
		"AFileOfSomethingElse":     {func(o *Options) { o.File = "../../go.mod" }, []string{"go.mod", "bank-additional-full.csv"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Run(t.Context(), options(tc.change))
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range tc.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q doesn't say %q", err, part)
				}
			}
		})
	}
}

func TestRunAppendsThePastFirst(t *testing.T) {
	w, full := &writer{}, errors.New("disk full")
	report, err := Run(t.Context(), options(func(o *Options) { o.Client, o.Contacts = w, &ledger{err: full} }))
	if !errors.Is(err, full) || w.applied != 0 || report.Customers != 0 {
		t.Errorf("error %v, %d customers applied, want %v and none", err, w.applied, full)
	}
}

// TestRunWritesWhereConsentsAre names the API that takes them.
func TestRunWritesWhereConsentsAre(t *testing.T) {
	for want, group := range map[schema.GroupVersion]schema.GroupVersion{
		v1alpha1.SchemeGroupVersion: {}, v1alpha1.StoreGroupVersion: v1alpha1.StoreGroupVersion,
	} {
		w := &writer{}
		if _, err := Run(t.Context(), options(func(o *Options) { o.Client, o.Group = w, group })); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]int{want.String(): 500}, w.groups); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want, diff)
		}
	}
}

func TestRunRefusesASecondPast(t *testing.T) {
	past := &ledger{}
	if _, err := Run(t.Context(), options(func(o *Options) { o.Contacts = past })); err != nil {
		t.Fatal(err)
	}
	w := &writer{}
	_, err := Run(t.Context(), options(func(o *Options) { o.Client, o.Contacts, o.AsOf = w, past, asOf.AddDate(0, 0, -1) }))
	if !errors.Is(err, contacts.ErrConflict) || !strings.Contains(err.Error(), "as-of of the first time") || w.applied != 0 {
		t.Errorf("error %v after %d customers, want a conflict that says the remedy, and none", err, w.applied)
	}
}

func TestRunStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := &writer{}
	_, err := Run(ctx, options(func(o *Options) { o.Client, o.Contacts = w, &ledger{after: cancel} }))
	if !errors.Is(err, context.Canceled) || w.applied > 2 {
		t.Errorf("error %v after %d customers, want %v at once", err, w.applied, context.Canceled)
	}
}

// TestRunSaysNoCustomer lets the apiserver answer with the customer's name, as
// it does, and looks for it in all that the import says.
func TestRunSaysNoCustomer(t *testing.T) {
	resource := schema.GroupResource{Group: v1alpha1.Group, Resource: "customerconsents"}
	kind := schema.GroupKind{Group: v1alpha1.Group, Kind: "CustomerConsent"}
	tests := map[string]struct {
		answer func(customer string, n int) error
		want   Report
		says   []string // parts of the error; none: no error
	}{
		"ARefusedRowIsNamedByItsLineAndTheRestGoesOn": {
			answer: func(c string, n int) error {
				if n != 3 {
					return nil
				}
				return apierrors.NewInvalid(kind, c, field.ErrorList{field.Invalid(field.NewPath("spec", "timeZone"), c, "of "+c)})
			},
			want: Report{Customers: 499, Refused: 1},
			says: []string{"1 of 500", "line ", "spec.timeZone", "Invalid"},
		},
		"WhatSomebodyChangedIsKept": {
			answer: func(c string, n int) error {
				if n > 2 {
					return nil
				}
				return apierrors.NewConflict(resource, c, errors.New("changed by "+c))
			},
			want: Report{Customers: 498, Kept: 2},
		},
		"NoRightsEndTheImport": {
			answer: func(c string, n int) error {
				return apierrors.NewForbidden(resource, c, errors.New("not you, "+c))
			},
			says: []string{"stopped after 0 of 500", "line ", "Forbidden", "run it again"},
		},
		"NoNamespaceEndsTheImport": {
			answer: func(c string, n int) error {
				return apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, c)
			},
			says: []string{"NotFound", "is codb installed"},
		},
		"NoApiserverEndsTheImport": {
			answer: func(c string, n int) error {
				return fmt.Errorf("apply: %w", &url.Error{Op: "Patch", URL: "https://localhost/" + c, Err: errors.New("connection refused")})
			},
			says: []string{"connection refused"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var progress bytes.Buffer
			got, err := Run(t.Context(), options(func(o *Options) { o.Client, o.Progress = &writer{answer: tc.answer}, &progress }))
			if (err != nil) != (tc.says != nil) {
				t.Fatalf("error %v, want one: %v", err, tc.says != nil)
			}
			for _, part := range tc.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q doesn't say %q", err, part)
				}
			}
			if said := fmt.Sprint(err) + progress.String(); strings.Contains(said, "c-") {
				t.Errorf("a customer is named: %s", said)
			}
			got.Contacts, got.Took = 0, 0
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRunOnARealApiserver imports, imports again, lets customers change their
// minds and imports once more.
func TestRunOnARealApiserver(t *testing.T) {
	env, err := apiserver.Start(apiserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	const people, ns = 2000, "customers"
	if err := env.Client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}); err != nil {
		t.Fatal(err)
	}
	c, err := NewClient(env.Config)
	if err != nil {
		t.Fatal(err)
	}
	var progress bytes.Buffer
	past := &ledger{}
	o := options(func(o *Options) {
		o.Client, o.Contacts, o.Namespace, o.Limit, o.Concurrency, o.Progress = c, past, ns, people, 16, &progress
	})
	run := func(want Report) {
		t.Helper()
		got, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%.0f customers a second", float64(people)/got.Took.Seconds())
		want.Contacts, want.Took = len(past.kept), got.Took
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("report (-want +got):\n%s", diff)
		}
	}
	list := func() map[string]v1alpha1.CustomerConsent {
		t.Helper()
		var all v1alpha1.CustomerConsentList
		if err := env.Client.List(t.Context(), &all, client.InNamespace(ns)); err != nil {
			t.Fatal(err)
		}
		out := map[string]v1alpha1.CustomerConsent{}
		for _, cc := range all.Items {
			out[cc.Name] = cc
		}
		return out
	}

	run(Report{Customers: people})
	first := list()
	if len(first) != people {
		t.Fatalf("%d customers, want %d", len(first), people)
	}
	run(Report{Customers: people})
	for name, cc := range list() {
		if cc.ResourceVersion != first[name].ResourceVersion {
			t.Fatal("a second import changed a customer")
		}
	}
	if !strings.Contains(progress.String(), "2000 customers and ") {
		t.Errorf("progress says %q", progress.String())
	}

	// One customer opts out, another takes the consent back.
	minds := inSegment(first, Newsletter)[:2]
	out, back := minds[0].DeepCopy(), minds[1].DeepCopy()
	out.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.Now()}
	for i := range back.Spec.Relationships[0].Grants {
		back.Spec.Relationships[0].Grants[i].Status = v1alpha1.ConsentWithdrawn
	}
	for _, cc := range []*v1alpha1.CustomerConsent{out, back} {
		if err := env.Client.Update(t.Context(), cc); err != nil {
			t.Fatal(err)
		}
	}
	run(Report{Customers: people - 1, Kept: 1})
	now := list()
	if now[out.Name].Spec.OptOut == nil {
		t.Error("an import undid an opt-out")
	}
	if now[back.Name].Spec.Relationships[0].Grants[1].Status != v1alpha1.ConsentWithdrawn {
		t.Error("an import undid a withdrawal")
	}

	// A second brand comes beside the first.
	o.Brand, o.Limit = "globex", 20
	past.kept = nil
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	both := 0
	for _, cc := range list() {
		if len(cc.Spec.Relationships) == 2 {
			both++
		}
	}
	if both == 0 {
		t.Error("the second brand's import took the first one's place")
	}
}

func inSegment(all map[string]v1alpha1.CustomerConsent, s Segment) []v1alpha1.CustomerConsent {
	var out []v1alpha1.CustomerConsent
	for _, cc := range all {
		if cc.Labels[LabelSegment] == string(s) {
			out = append(out, cc)
		}
	}
	return out
}

func TestReadFileTakesPlainFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bank.csv")
	write(t, path, header+"56;services;married;telephone;1;999;0;nonexistent;no\n")
	rows, err := readFile(path)
	if err != nil || len(rows) != 1 {
		t.Errorf("%d rows, %v; want 1", len(rows), err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

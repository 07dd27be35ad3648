package importer

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/test/apiserver"
	"github.com/codb-dev/codb/test/door"
)

// TestRunIntoATable imports into PostgreSQL, twice, and once more after somebody
// has opted out.
func TestRunIntoATable(t *testing.T) {
	env, err := apiserver.Start(apiserver.Options{Admission: true, Aggregation: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	store, end, err := door.Open(env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	c, err := NewClient(env.Config)
	if err != nil {
		t.Fatal(err)
	}
	const people = 200
	past := &ledger{}
	run := func() Report {
		t.Helper()
		got, err := Run(t.Context(), options(func(o *Options) {
			o.Client, o.Contacts, o.Group, o.Namespace, o.Limit, o.Concurrency = c, past, v1alpha1.StoreGroupVersion, v1alpha1.CustomersNamespace, people, 4
		}))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := run(); got.Customers != people {
		t.Fatalf("imported %+v", got)
	}
	clerk, err := door.Client(env.Config)
	if err != nil {
		t.Fatal(err)
	}
	var all v1alpha1.CustomerConsentList
	if err := clerk.List(t.Context(), &all, client.InNamespace(v1alpha1.CustomersNamespace)); err != nil || len(all.Items) != people {
		t.Fatalf("%d customers, %v", len(all.Items), err)
	}
	leaver := &all.Items[0]
	before := leaver.DeepCopy()
	leaver.Spec.OptOut = &v1alpha1.OptOut{Since: leaver.CreationTimestamp}
	if err := clerk.Patch(t.Context(), leaver, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	if got := run(); got.Customers != people {
		t.Errorf("imported again: %+v", got)
	}
	for i := range all.Items {
		now, err := store.Now(t.Context(), all.Items[i].Name)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 && now.Spec.OptOut == nil {
			t.Error("an import undid an opt-out")
		}
		if i > 0 && now.ResourceVersion != all.Items[i].ResourceVersion {
			t.Fatal("a second import changed a customer")
		}
	}
}

package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/policies"
)

// lagging brings what is watched late, as a busy apiserver does.
type lagging struct {
	http.RoundTripper
	by <-chan time.Time
}

func (l lagging) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := l.RoundTripper.RoundTrip(req)
	if err == nil && req.URL.Query().Has("watch") && strings.Contains(req.URL.Path, "customerconsents") {
		answer.Body = late{answer.Body, l.by}
	}
	return answer, err
}

type late struct {
	io.ReadCloser
	by <-chan time.Time
}

func (l late) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	<-l.by
	return n, err
}

// unproven consents are there, and nobody knows whether all of them.
type unproven struct{ *consentstore.Store }

func (unproven) Fence(context.Context) (string, error) { return "", consentstore.ErrNotCurrent }

// A watch that lags is what every other system decides on. Ours must have the
// withdrawal, or nothing.
func TestWhatIsDecidedOnHasEveryAcknowledgedWithdrawal(t *testing.T) {
	w := newWorld(t)
	leaver := w.customer(0)
	c := w.campaign("spring", draws)
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)

	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	slow := rest.CopyConfig(env.Config)
	slow.Wrap(func(rt http.RoundTripper) http.RoundTripper { return lagging{rt, tick.C} })
	watching, err := client.NewWithWatch(slow, client.Options{Scheme: env.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	own := env.As(t, "system:serviceaccount:"+v1alpha1.SystemNamespace+":codb-gate")
	store := consentstore.New(watching, own, v1alpha1.CustomersNamespace)
	go func() { _ = store.Start(t.Context()) }() // it ends with the test
	if _, err := store.Fence(t.Context()); err != nil || !store.Synced() {
		t.Fatalf("synced %t: %v", store.Synced(), err)
	}
	lib, err := policy.LoadLibrary(policies.FS)
	if err != nil {
		t.Fatal(err)
	}
	book := policy.NewBook(lib, nil)
	var list v1alpha1.CampaignPolicyList
	if err := env.Client.List(w.ctx, &list); err != nil {
		t.Fatal(err)
	}
	var wrong error
	world := &permitWorld{
		deciding: &deciding{consents: store, book: book}, live: own, clock: systemClock,
		onTime: func(context.Context) error { return wrong },
	}
	holder := gate.Holder{Campaign: contacts.Campaign{Namespace: c.Namespace, Name: c.Name, UID: string(c.UID), Generation: c.Generation, Job: "j"}}
	w.until("all consents have arrived", func() (bool, string) { return store.Synced(), "" })

	for i := range list.Items[1:] {
		book.Put(&list.Items[1+i], nil)
	}
	if _, err := world.Current(t.Context(), holder); err == nil {
		t.Error("decided without having read every policy")
	}
	book.Put(&list.Items[0], nil)
	for _, no := range []bool{true, false, true} {
		change(w, leaver, func(o *v1alpha1.CustomerConsent) {
			o.Spec.OptOut = nil
			if no {
				optedOut(&o.Spec)
			}
		})
		found, err := world.Current(t.Context(), holder)
		if err != nil {
			t.Fatal(err)
		}
		if found.Refusal == nil || found.Refusal.Code != v1alpha1.CodePolicyNotReady {
			t.Errorf("nothing is in force, and yet: %+v", found)
		}
		if rec, ok := store.Customers().Get(leaver.Name); !ok || (rec.Person("").OptOut != nil) != no {
			t.Errorf("decided on what the customer said before: %v", rec.Person("").OptOut)
		}
	}
	wrong = errors.New("this machine's clock is an hour ahead")
	if _, err := world.Current(t.Context(), holder); !errors.Is(err, wrong) {
		t.Errorf("decided by a clock that is wrong: %v", err)
	}
	wrong = nil
	world.consents = unproven{store}
	if _, err := world.Current(t.Context(), holder); !errors.Is(err, gate.ErrConsents) || !errors.Is(err, consentstore.ErrNotCurrent) {
		t.Errorf("consents that can't be proven: %v", err)
	}
	world.consents = store
	if err := env.Client.Delete(w.ctx, c, client.PropagationPolicy("Background")); err != nil {
		t.Fatal(err)
	}
	if _, err := world.Current(t.Context(), holder); err == nil {
		t.Error("decided for a campaign that is gone")
	}
}

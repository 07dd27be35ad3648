package consentstore_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consentstore"
)

// full is a customer as the apiserver would send one, every text a copy of its
// own.
func full(n int) *v1alpha1.CustomerConsent {
	asked := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, n%86400, 0, time.UTC))
	until := metav1.NewTime(asked.AddDate(2, 0, n%28))
	born, text := int32(1950+n%50), func(s string) string { return string([]byte(s)) }
	grant := func(c string) v1alpha1.Grant {
		return v1alpha1.Grant{
			Purpose: v1alpha1.Purpose(text("Marketing")), Channel: v1alpha1.Channel(text(c)), Status: v1alpha1.ConsentStatus(text("ConsentGiven")),
			CaptureDate: asked, DoubleConsentCaptureDate: &asked, EffectiveTo: &until, CaptureSource: text("Web"),
		}
	}
	return &v1alpha1.CustomerConsent{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: text("codb-customers"), Name: fmt.Sprintf("c-%012x", n), ResourceVersion: fmt.Sprint(n), Generation: 1,
			UID:    types.UID(fmt.Sprintf("%08x-0000-4000-8000-%012x", n*7919, n)),
			Labels: map[string]string{text("segment"): fmt.Sprint(n % 40)},
			ManagedFields: []metav1.ManagedFieldsEntry{{
				Manager: text("portal"), FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:relationships":{}}}`),
			}},
		},
		Spec: v1alpha1.CustomerConsentSpec{
			TimeZone: v1alpha1.TimeZone(text("Europe/Berlin")), TimeZoneSource: text("Declared"), Jurisdiction: v1alpha1.Jurisdiction(text("DE")), BirthYear: &born,
			Relationships: []v1alpha1.Relationship{{Brand: text("acme"), Depth: v1alpha1.Depth(text("Profiling")), Grants: []v1alpha1.Grant{grant("Email"), grant("Phone")}}},
		},
		Status: v1alpha1.CustomerConsentStatus{Summary: text("Given"), Brands: []v1alpha1.BrandStanding{{Brand: text("acme"), State: text("Given")}}},
	}
}

// stream is an apiserver of customers that nobody keeps.
type stream struct {
	client.WithWatch
	listed, streamed int
	done             chan struct{}
}

func (s *stream) List(_ context.Context, into client.ObjectList, opts ...client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(opts)
	from := 0
	_, _ = fmt.Sscan(o.Continue, &from)
	list := into.(*v1alpha1.CustomerConsentList)
	list.Items, list.Continue, list.ResourceVersion = nil, "", "1"
	for n := from; n < min(from+int(o.Limit), s.listed); n++ {
		list.Items = append(list.Items, *full(n))
	}
	if from+int(o.Limit) < s.listed {
		list.Continue = fmt.Sprint(from + int(o.Limit))
	}
	return nil
}

func (s *stream) Watch(ctx context.Context, _ client.ObjectList, _ ...client.ListOption) (watch.Interface, error) {
	events := make(chan watch.Event)
	go func() {
		for n := range s.streamed {
			events <- watch.Event{Type: watch.Added, Object: full(s.listed + n)}
			events <- watch.Event{Type: watch.Modified, Object: full(s.listed + n)} // its status
		}
		events <- watch.Event{Type: watch.Bookmark, Object: full(0)}
		close(s.done)
		<-ctx.Done()
		close(events)
	}()
	return watch.NewProxyWatcher(events), nil
}

// A customer costs what is in the columns, however they arrived: 3.4 kB would be an
// object's.
func TestNoObjectOfACustomerIsKept(t *testing.T) {
	const most = 400
	tests := map[string]*stream{
		"Listed":   {listed: 20_000},
		"Streamed": {streamed: 20_000},
	}
	for name, s := range tests {
		t.Run(name, func(t *testing.T) {
			s.done = make(chan struct{})
			before := heap()
			store := consentstore.New(s, s, "codb-customers")
			run(t, store)
			<-s.done
			if n := store.Customers().Len(); n != 20_000 {
				t.Fatalf("%d customers", n)
			}
			each := (int64(heap()) - int64(before)) / 20_000
			t.Logf("%d bytes a customer, %d of them in columns and index", each, store.Customers().Bytes()/20_000)
			if each > most {
				t.Errorf("%d bytes a customer, at most %d are promised", each, most)
			}
			runtime.KeepAlive(store)
		})
	}
}

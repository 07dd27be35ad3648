package consentstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/internal/crd"
	"github.com/codb-dev/codb/test/postgres"
)

func openAt(t testing.TB, at string, patience time.Duration) *consentstore.Database {
	t.Helper()
	kinds, err := crd.Load(os.DirFS("../../config/crd/bases"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := consentstore.OpenDatabase(t.Context(), at, consentstore.DatabaseOptions{
		Namespace: v1alpha1.CustomersNamespace, Patience: patience,
		Refused: func(object, old *v1alpha1.CustomerConsent) ([]string, error) {
			return kinds["CustomerConsent"].Refused(object, old)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func put(t testing.TB, d *consentstore.Database, consents ...*v1alpha1.CustomerConsent) []*v1alpha1.CustomerConsent {
	t.Helper()
	out, err := d.Put(t.Context(), "test", consents)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func named(name string) *v1alpha1.CustomerConsent {
	return &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func optedOut(c *v1alpha1.CustomerConsent) *v1alpha1.CustomerConsent {
	c = c.DeepCopy()
	c.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.NewTime(time.Now().Truncate(time.Second))}
	return c
}

// TestAFenceBringsEveryWithdrawalOfAnotherProcess is what the suite of custom
// resources demands, with a store that another process writes to.
func TestAFenceBringsEveryWithdrawalOfAnotherProcess(t *testing.T) {
	at := postgres.Place(t)
	writes, reads := openAt(t, at, 0), openAt(t, at, 0)
	for i := range 100 {
		c := put(t, writes, named(fmt.Sprintf("c-%03d", i)))[0]
		put(t, writes, optedOut(c))
		if _, err := reads.Fence(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r, ok := reads.Customers().Get(c.Name); !ok || r.Person("").OptOut == nil {
			t.Fatalf("trial %d: the store does not know the withdrawal behind the fence", i)
		}
	}
}

func TestConsentsArriveAtAStart(t *testing.T) {
	at := postgres.Place(t)
	d := openAt(t, at, 0)
	const n = 2500 // more than are read at once
	for from := 0; from < n; from += 500 {
		var batch []*v1alpha1.CustomerConsent
		for i := range 500 {
			batch = append(batch, named(fmt.Sprintf("c-%04d", from+i)))
		}
		put(t, d, batch...)
	}
	if err := d.Erase(t.Context(), "test", "c-0007"); err != nil {
		t.Fatal(err)
	}
	again := openAt(t, at, 0)
	if _, err := again.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !again.Synced() || again.Customers().Len() != n-1 || again.Revision() == "" {
		t.Errorf("synced %v with %d customers at %s", again.Synced(), again.Customers().Len(), again.Revision())
	}
	if _, ok := again.Customers().Get("c-0007"); ok {
		t.Error("somebody who was erased is there")
	}
	changed := again.Changed()
	_, mark, _ := again.Customers().Since(1 << 62)
	put(t, d, named("c-new"))
	select {
	case <-changed:
	case <-time.After(time.Minute):
		t.Fatal("nobody told of the change")
	}
	if who, _, all := again.Customers().Since(mark); all || len(who) != 1 || who[0] != "c-new" {
		t.Errorf("changed are %v, all: %v", who, all)
	}
}

func TestTheDoorIsTheApiservers(t *testing.T) {
	d := openAt(t, postgres.Place(t), 0)
	wrong := named("c-1")
	wrong.Spec.TimeZone = "Mars/Olympus Mons\n"
	if _, err := d.Put(t.Context(), "test", []*v1alpha1.CustomerConsent{named("c-0"), wrong}); !errors.Is(err, consentstore.ErrRefused) {
		t.Errorf("got %v, want it refused", err)
	}
	if _, err := d.Now(t.Context(), "c-0"); !errors.Is(err, consentstore.ErrNotFound) {
		t.Errorf("a part of what was refused is there: %v", err)
	}
}

func TestOnlyWhoKnowsTheLatestMayChangeIt(t *testing.T) {
	d := openAt(t, postgres.Place(t), 0)
	first := put(t, d, named("c-1"))[0]
	if _, err := d.Put(t.Context(), "test", []*v1alpha1.CustomerConsent{named("c-1")}); !errors.Is(err, consentstore.ErrConflict) {
		t.Errorf("a second one that is new: got %v", err)
	}
	second := put(t, d, optedOut(first))[0]
	if _, err := d.Put(t.Context(), "test", []*v1alpha1.CustomerConsent{first}); !errors.Is(err, consentstore.ErrConflict) {
		t.Errorf("what knows nothing of the withdrawal: got %v", err)
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		made int
	)
	for i := range 8 {
		wg.Go(func() {
			c := second.DeepCopy()
			c.Labels = map[string]string{"by": fmt.Sprint(i)}
			_, err := d.Put(t.Context(), "test", []*v1alpha1.CustomerConsent{c})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			} else if !errors.Is(err, consentstore.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if now, err := d.Now(t.Context(), "c-1"); err != nil || made != 1 || now.Generation != 2 || now.UID != first.UID {
		t.Errorf("%d were made; now it is %+v, %v", made, now, err)
	}
	history, err := d.History(t.Context(), "c-1", 10)
	if err != nil || len(history) != 3 || history[0].Author != "test" || history[2].Consent.Spec.OptOut != nil || history[1].Consent.Spec.OptOut == nil {
		t.Errorf("the history is %+v, %v", history, err)
	}
	if err := d.Erase(t.Context(), "erasure", "c-1"); err != nil {
		t.Fatal(err)
	}
	history, err = d.History(t.Context(), "c-1", 10)
	if err != nil || len(history) != 4 || history[0].Author != "erasure" {
		t.Errorf("after an erasure the history is %+v, %v", history, err)
	}
	for _, r := range history {
		if r.Consent != nil {
			t.Errorf("revision %d is remembered after an erasure", r.Revision)
		}
	}
}

// TestABadNetworkWritesOnce has connections break in every moment: each write
// is made once, whoever's answer got lost.
func TestABadNetworkWritesOnce(t *testing.T) {
	at := postgres.Place(t)
	proxy := postgres.Behind(t, at)
	d, reads := openAt(t, proxy.URL(), time.Minute), openAt(t, at, 0)
	proxy.Resets.Store(30)
	var wg sync.WaitGroup
	const writers, each = 4, 20
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				out, err := d.Put(t.Context(), "test", []*v1alpha1.CustomerConsent{named(fmt.Sprintf("c-%d-%d", w, i))})
				if err == nil {
					_, err = d.Put(t.Context(), "test", []*v1alpha1.CustomerConsent{optedOut(out[0])})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := reads.Fence(context.Background()); err != nil {
		t.Fatal(err)
	}
	for w := range writers {
		for i := range each {
			name := fmt.Sprintf("c-%d-%d", w, i)
			r, ok := reads.Customers().Get(name)
			history, err := reads.History(t.Context(), name, 10)
			if !ok || r.Person("").OptOut == nil || err != nil || len(history) != 2 {
				t.Errorf("%s was written %d times, %v", name, len(history), err)
			}
		}
	}
}

func TestADatabaseThatIsDownProvesNothing(t *testing.T) {
	proxy := postgres.Behind(t, postgres.Place(t))
	d := openAt(t, proxy.URL(), 200*time.Millisecond)
	put(t, d, named("c-1"))
	if _, err := d.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	proxy.Down(true)
	if _, err := d.Fence(t.Context()); !errors.Is(err, consentstore.ErrNotCurrent) {
		t.Errorf("Fence: got %v", err)
	}
	if _, err := d.Put(t.Context(), "test", []*v1alpha1.CustomerConsent{named("c-2")}); err == nil {
		t.Error("a consent was written without a database")
	}
	proxy.Down(false)
	if _, err := d.Fence(t.Context()); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

// TestWhatWasCheckedIsNotCheckedAgain cuts the connection while a consent is
// being checked: many take longer to check than an attempt may, on a busy machine.
func TestWhatWasCheckedIsNotCheckedAgain(t *testing.T) {
	proxy, err := postgres.NewProxy(postgres.Place(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	checked := 0
	d, err := consentstore.OpenDatabase(t.Context(), proxy.URL(), consentstore.DatabaseOptions{
		Namespace: v1alpha1.CustomersNamespace, NobodyAtHand: true, Patience: time.Minute,
		Refused: func(_, _ *v1alpha1.CustomerConsent) ([]string, error) {
			if checked++; checked == 1 {
				proxy.Down(true)
				proxy.Down(false)
			}
			return nil, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	if put(t, d, named("c-1")); checked != 1 {
		t.Errorf("checked %d times", checked)
	}
}

package consentstore_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consentstore"
)

// source is an apiserver with a script: each list and each watch is asked of the
// test, which may let it wait.
type source struct {
	client.WithWatch
	lists   chan chan page
	watches chan *watched
}

type page struct {
	names []string
	next  string // more pages
	at    int
	err   error
}

type watched struct {
	from   string
	events chan watch.Event
	err    chan error
}

func newSource() *source { return &source{lists: make(chan chan page), watches: make(chan *watched)} }

func (s *source) List(ctx context.Context, into client.ObjectList, _ ...client.ListOption) error {
	answer := make(chan page)
	var p page
	select {
	case s.lists <- answer:
		p = <-answer
	case <-ctx.Done():
		return ctx.Err()
	}
	list := into.(*v1alpha1.CustomerConsentList)
	list.Items, list.Continue, list.ResourceVersion = nil, p.next, strconv.Itoa(p.at)
	for _, name := range p.names {
		list.Items = append(list.Items, *at(name, p.at))
	}
	return p.err
}

func (s *source) Watch(ctx context.Context, _ client.ObjectList, opts ...client.ListOption) (watch.Interface, error) {
	var o client.ListOptions
	o.ApplyOptions(opts)
	w := &watched{from: o.Raw.ResourceVersion, events: make(chan watch.Event), err: make(chan error)}
	select {
	case s.watches <- w:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case err := <-w.err:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return watch.NewProxyWatcher(w.events), nil
}

// Patch is the fence's, and always made at version 100.
func (s *source) Patch(_ context.Context, o client.Object, _ client.Patch, _ ...client.PatchOption) error {
	o.SetResourceVersion("100")
	return nil
}

// at is somebody's consent at a version.
func at(name string, version int) *v1alpha1.CustomerConsent {
	c := person("codb-customers", name)
	c.UID, c.ResourceVersion, c.Generation = types.UID("uid-"+name), strconv.Itoa(version), 1
	return c
}

// play is a store on a source.
type play struct {
	*testing.T
	*source
	store *consentstore.Store
}

func newPlay(t *testing.T) *play {
	p := &play{T: t, source: newSource()}
	p.store = consentstore.New(p.source, p.source, "codb-customers")
	run(t, p.store)
	return p
}

func (p *play) list(pages ...page) {
	for _, answer := range pages {
		<-p.lists <- answer
	}
}

// watch answers the next one, which has to begin at the version.
func (p *play) watch(from int) *watched {
	p.Helper()
	w := <-p.watches
	if w.from != strconv.Itoa(from) {
		p.Errorf("it watches from %s, want %d", w.from, from)
	}
	w.err <- nil
	return w
}

func (w *watched) tell(what watch.EventType, c *v1alpha1.CustomerConsent) {
	w.events <- watch.Event{Type: what, Object: c}
}

func (p *play) has(want ...string) {
	p.Helper()
	got := p.store.Customers().Principals()
	if slices.Sort(got); !slices.Equal(got, want) {
		p.Errorf("it has %v, want %v", got, want)
	}
}

const fence = v1alpha1.FenceName

// Until the last page is in, nothing is proven by what was on the first: whom the
// fence is to bring may be on the second.
func TestAFenceWaitsForTheLastPage(t *testing.T) {
	p := newPlay(t)
	p.list(page{names: []string{"a", fence}, at: 200, next: "more"}) // the fence is newer than what is asked for
	passed := make(chan error, 1)
	go func() {
		_, err := p.store.Fence(t.Context())
		passed <- err
	}()
	second := <-p.lists // whoever asks for it has taken in the first page
	select {
	case err := <-passed:
		t.Errorf("it passed before the second page: %v", err)
	case <-time.After(50 * time.Millisecond): // it would have had the time
	}
	if p.store.Synced() || p.store.Revision() != "cr--" {
		t.Errorf("synced %t at %s", p.store.Synced(), p.store.Revision())
	}
	second <- page{names: []string{"b"}, at: 200}
	if err := <-passed; err != nil {
		t.Error(err)
	}
	p.has("a", "b")
	if !p.store.Synced() || p.store.Revision() != "cr-uid-"+fence[:4]+"-200" {
		t.Errorf("synced %t at %s", p.store.Synced(), p.store.Revision())
	}
}

// What happened while nobody watched is found out by reading everybody anew.
func TestWhatAWatchMissesIsReadAnew(t *testing.T) {
	tests := map[string]func(*watched){
		"ItsEventsAreGone": func(w *watched) {
			w.events <- watch.Event{Type: watch.Error, Object: &apierrors.NewResourceExpired("too old").ErrStatus}
		},
		"AnEventThatNobodyCanRead": func(w *watched) {
			w.events <- watch.Event{Type: watch.Error, Object: &apierrors.NewInternalError(errors.New("unable to decode")).ErrStatus}
		},
	}
	for name, ends := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPlay(t)
			p.list(page{names: []string{"a", "b", fence}, at: 5})
			w := p.watch(5)
			before := p.store.Customers().Snapshot()
			ends(w)
			changed := p.store.Changed()
			p.list(page{names: []string{"a", "c", fence}, at: 9})
			p.watch(9)
			p.has("a", "c")
			if p.store.Customers().Snapshot() == before {
				t.Error("who looks sees nothing new")
			}
			<-changed
		})
	}
}

// A watch that ends, or can't be had for a while, goes on where it was.
func TestAWatchGoesOnWhereItWas(t *testing.T) {
	p := newPlay(t)
	p.list(page{names: []string{"a", fence}, at: 5})
	w := p.watch(5)
	w.tell(watch.Added, at("b", 6))
	close(w.events)
	for _, err := range []error{errors.New("connection refused"), apierrors.NewTooManyRequests("later", 0)} {
		refused := <-p.watches
		refused.err <- err
	}
	w = p.watch(6)
	w.tell(watch.Bookmark, at("", 70))
	close(w.events)
	w = p.watch(70)
	w.tell(watch.Deleted, at("a", 71))
	w.tell(watch.Modified, at("b", 72)) // once it is taken, what was before is done
	close(w.events)
	p.watch(72)
	p.has("b")
	if got := p.store.Revision(); got != "cr-uid-"+fence[:4]+"-72" {
		t.Errorf("it has come to %s", got)
	}
}

// After a restore from a backup the same generation of the same consent may say
// something else.
func TestARestoredConsentIsReadAnew(t *testing.T) {
	p := newPlay(t)
	p.list(page{names: []string{"a", fence}, at: 5})
	w := p.watch(5)
	no := at("a", 6)
	no.Generation, no.Spec.OptOut = 2, &v1alpha1.OptOut{}
	w.tell(watch.Modified, no)
	yes := at("a", 7)
	yes.Generation = 2
	w.tell(watch.Modified, yes)
	close(w.events)
	p.watch(7)
	if r, _ := p.store.Customers().Get("a"); r.Person("").OptOut != nil {
		t.Error("it was taken for the one before")
	}
}

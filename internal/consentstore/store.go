// Package consentstore keeps every customer's consent at hand, as the
// apiserver streams them, and can prove that it missed none. It does not know
// what consents are for.
package consentstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/feed"
)

// Store is fed by the informer of CustomerConsents. Its objects are shared
// with the informer's cache and must not be written to.
type Store struct {
	namespace string
	writer    client.Client
	synced    func() bool

	mu       sync.RWMutex
	records  map[string]audience.Record
	changes  feed.Log // its marks are the records' versions
	revision string   // highest resourceVersion that came by
	fenceUID types.UID
	changed  chan struct{} // closed and replaced at each change
	seen     *sync.Cond    // signalled at each change, for fences
	fenced   string        // resourceVersion of the latest fence that came by

	fence   fence
	metrics metrics
}

// remembered is how many changes a reader may lag behind before it has to look
// at everybody again.
const remembered = 1 << 16

// New makes a store of the consents in the namespace. It is empty until Start
// has registered it with the cache.
func New(c client.Client, namespace string) *Store {
	s := &Store{
		namespace: namespace,
		writer:    c,
		records:   map[string]audience.Record{},
		changes:   feed.Log{Keep: remembered},
		changed:   make(chan struct{}),
		synced:    func() bool { return false },
	}
	s.seen = sync.NewCond(&s.mu)
	s.fence.store = s
	return s
}

// Watch registers the store with the cache's informer. Call it before the
// cache starts; the store is complete once Synced says so.
func (s *Store) Watch(ctx context.Context, c ctrlcache.Cache) error {
	inf, err := c.GetInformer(ctx, &v1alpha1.CustomerConsent{}, ctrlcache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watch customer consents: %w", err)
	}
	reg, err := inf.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { s.put(o) },
		UpdateFunc: func(_, o any) { s.put(o) },
		DeleteFunc: func(o any) { s.remove(o) },
	})
	if err != nil {
		return fmt.Errorf("watch customer consents: %w", err)
	}
	s.mu.Lock()
	s.synced = reg.HasSynced
	s.mu.Unlock()
	return nil
}

// Synced is true once every consent that existed at the start has arrived, the
// fence among them: it gives the store its identity.
func (s *Store) Synced() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.fenceUID != "" && s.synced()
}

// Revision is an opaque mark up to which every change is in the store.
func (s *Store) Revision() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mark()
}

// Since lists whose consent changed after the mark; see feed.Log.
func (s *Store) Since(mark uint64) (changed []string, now uint64, all bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.changes.Since(mark)
}

// Principals lists everybody on record, in no order.
func (s *Store) Principals() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Keys(s.records))
}

// Get is one customer's consent.
func (s *Store) Get(principal string) (audience.Record, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, ok := s.records[principal]
	return r, ok
}

// Len is how many customers there are.
func (s *Store) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.records)
}

// Changed is closed at the next change of any consent.
func (s *Store) Changed() <-chan struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.changed
}

// mark is an opaque revision with the store's identity in it: a revision of
// another store, or of this one before a restore, never compares equal.
func (s *Store) mark() string {
	id := string(s.fenceUID)
	if len(id) > 8 {
		id = id[:8]
	}
	return "cr-" + id + "-" + s.revision
}

func (s *Store) put(o any) {
	c, ok := o.(*v1alpha1.CustomerConsent)
	if !ok || c.Namespace != s.namespace {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(c.ResourceVersion)
	if c.Name == v1alpha1.FenceName {
		s.fenceUID = c.UID
		s.fenced = c.ResourceVersion
		s.seen.Broadcast()
		return
	}
	if old, ok := s.records[c.Name]; ok && sameAnswer(old.Consent, c) {
		s.records[c.Name] = audience.Record{Version: old.Version, Consent: c, Seen: old.Seen}
		return // a status write changes nobody's answer
	}
	s.records[c.Name] = audience.Record{Version: s.changes.Add(c.Name), Consent: c, Seen: time.Now()}
	s.announce()
}

func (s *Store) remove(o any) {
	if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	c, ok := o.(*v1alpha1.CustomerConsent)
	if !ok || c.Namespace != s.namespace {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.records[c.Name]; !ok {
		return
	}
	s.changes.Add(c.Name)
	s.advance(c.ResourceVersion)
	delete(s.records, c.Name)
	s.announce()
}

// advance never goes back: a list that is read anew comes in any order.
func (s *Store) advance(to string) {
	if n, err := resourceversion.CompareResourceVersion(to, s.revision); s.revision == "" || (err == nil && n > 0) {
		s.revision = to
	}
}

func (s *Store) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// sameAnswer says whether two states of one consent are the same to every
// policy and audience: spec, labels and deletion are all that they look at.
func sameAnswer(a, b *v1alpha1.CustomerConsent) bool {
	return a.UID == b.UID && a.Generation == b.Generation &&
		a.DeletionTimestamp.IsZero() == b.DeletionTimestamp.IsZero() && maps.Equal(a.Labels, b.Labels)
}

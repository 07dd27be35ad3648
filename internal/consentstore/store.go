// Package consentstore keeps every customer's consent at hand, as the
// apiserver streams them, and can prove that it missed none. It does not know
// what consents are for.
package consentstore

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Store is fed by the informer of CustomerConsents. Its objects are shared
// with the informer's cache and must not be written to.
type Store struct {
	namespace string
	writer    client.Client
	synced    func() bool

	people
	revision string // highest resourceVersion that came by
	fenceUID types.UID
	seen     *sync.Cond // signalled at each change, for fences
	fenced   string     // resourceVersion of the latest fence that came by

	fence fence
}

// New makes a store of the consents in the namespace. It is empty until Start
// has registered it with the cache.
func New(c client.Client, namespace string) *Store {
	s := &Store{
		namespace: namespace,
		writer:    c,
		people:    newPeople(),
		synced:    func() bool { return false },
	}
	s.seen = sync.NewCond(&s.mu)
	s.fence.pass, s.fence.twice = s.pass, true // see Fence
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

// Healthy is nil: without an apiserver nobody could be told that it isn't, and
// what must be proven is, by a Fence.
func (s *Store) Healthy() error { return nil }

// Revision is an opaque mark up to which every change is in the store.
func (s *Store) Revision() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mark()
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
	s.set(c, 0)
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
	s.advance(c.ResourceVersion)
	s.forget(c.Name)
}

// advance never goes back: a list that is read anew comes in any order.
func (s *Store) advance(to string) {
	if n, err := resourceversion.CompareResourceVersion(to, s.revision); s.revision == "" || (err == nil && n > 0) {
		s.revision = to
	}
}

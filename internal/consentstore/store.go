// Package consentstore keeps every customer's consent at hand, as the
// apiserver streams them, and can prove that it missed none. It does not know
// what consents are for.
package consentstore

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Store follows the CustomerConsents of one namespace.
type Store struct {
	namespace string
	source    client.WithWatch
	writer    client.Client

	people
	complete bool   // everybody who existed at the start has arrived
	revision string // up to it every change is in people
	fenceUID types.UID
	seen     *sync.Cond // signalled when the fence comes by
	fenced   string     // resourceVersion of the latest fence that came by

	fence fence
}

// New makes a store of the consents in the namespace, which is empty until it is
// started. The writer writes the fence.
func New(source client.WithWatch, writer client.Client, namespace string) *Store {
	s := &Store{namespace: namespace, source: source, writer: writer, people: newPeople()}
	s.seen = sync.NewCond(&s.mu)
	s.fence.pass = s.pass
	return s
}

// Synced is true once every consent that existed at the start has arrived, the
// fence among them: it gives the store its identity.
func (s *Store) Synced() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.complete && s.fenceUID != ""
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

// reached says up to which revision everything is in the store, and the fence as
// it is then, unless there is none.
func (s *Store) reached(revision string, fence *v1alpha1.CustomerConsent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision = revision
	if fence != nil {
		s.fenceUID, s.fenced = fence.UID, fence.ResourceVersion
		s.seen.Broadcast()
	}
}

package consentstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// fenceTimeout bounds how long a fence may take to come by: a watch that is
// that far behind proves nothing, and nothing is released.
const fenceTimeout = 10 * time.Second

// ErrNotCurrent says that the store could not prove that it is current.
var ErrNotCurrent = errors.New("the consents could not be proven current")

// fence lets many waiters share one write. A waiter may only join a write that
// begins after it asked: one that is under way may have passed a withdrawal
// that the waiter must see.
type fence struct {
	pass    func(context.Context) (revision string, err error)
	metrics metrics
	mu      sync.Mutex
	next    *round
	busy    bool
}

type round struct {
	done     chan struct{}
	revision string
	err      error
}

// Fence returns once every withdrawal that was acknowledged before the call is
// in the store. It writes to a reserved object of the same resource and waits
// to see the write come by: a watch delivers one resource's changes in order, and
// where everybody is read anew, the fence comes by when the last of them is in.
func (s *Store) Fence(ctx context.Context) (revision string, err error) { return s.fence.wait(ctx) }

func (f *fence) wait(ctx context.Context) (revision string, err error) {
	r := f.join()
	select {
	case <-r.done:
		return r.revision, r.err
	case <-ctx.Done():
		return "", fmt.Errorf("%w: %w", ErrNotCurrent, ctx.Err())
	}
}

func (f *fence) join() *round {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next == nil {
		f.next = &round{done: make(chan struct{})}
	}
	r := f.next
	if !f.busy {
		f.busy = true
		go f.run()
	}
	return r
}

// run serves rounds until nobody waits.
func (f *fence) run() {
	for {
		f.mu.Lock()
		r := f.next
		f.next = nil
		if r == nil {
			f.busy = false
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), fenceTimeout)
		began := time.Now()
		r.revision, r.err = f.pass(ctx)
		f.metrics.fenced(time.Since(began), r.err)
		cancel()
		close(r.done)
	}
}

// pass writes one token and waits until the watch brings it, or what another
// process wrote into the fence after it; it says how far the store is then.
func (s *Store) pass(ctx context.Context) (string, error) {
	raw := make([]byte, 12)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotCurrent, err)
	}
	token := hex.EncodeToString(raw)
	s.mu.RLock()
	before := s.fenced
	s.mu.RUnlock()
	written, err := s.write(ctx, token)
	if err != nil {
		return "", fmt.Errorf("%w: write the fence: %w", ErrNotCurrent, err)
	}
	if n, err := resourceversion.CompareResourceVersion(before, written); before != "" && err == nil && n >= 0 {
		// What was seen before would pass for what was just written.
		return "", fmt.Errorf("%w: the apiserver's versions went back: it was restored from a backup", ErrNotCurrent)
	}
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.cameBy(written) {
		if ctx.Err() != nil {
			return "", fmt.Errorf("%w: the watch did not bring the fence within %s", ErrNotCurrent, fenceTimeout)
		}
		s.seen.Wait()
	}
	return s.mark(), nil
}

// cameBy says whether the fence was seen as it was at the version, or later.
func (s *Store) cameBy(version string) bool {
	n, err := resourceversion.CompareResourceVersion(s.fenced, version)
	return err == nil && n >= 0
}

// write returns the fence's version with the token in it.
func (s *Store) write(ctx context.Context, token string) (string, error) {
	obj := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: v1alpha1.FenceName}}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationFence, token)
	err := s.writer.Patch(ctx, obj, client.RawPatch("application/merge-patch+json", patch))
	if !apierrors.IsNotFound(err) {
		return obj.ResourceVersion, err
	}
	obj = &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{
		Namespace: s.namespace, Name: v1alpha1.FenceName,
		Labels:      map[string]string{v1alpha1.LabelClass: v1alpha1.ClassFence},
		Annotations: map[string]string{v1alpha1.AnnotationFence: token},
	}}
	err = s.writer.Create(ctx, obj)
	return obj.ResourceVersion, err
}

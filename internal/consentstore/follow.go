package consentstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

const (
	// pageOf is how many consents are read at once.
	pageOf = 1000
	// watchFor is how long a watch is asked for at least, and at most twice: not all
	// are to begin anew at once.
	watchFor = 5 * time.Minute
	// insist is how often in a row a watch is tried again before everybody is read
	// anew.
	insist = 10
)

// Start follows the apiserver until ctx ends. An informer would do the same with
// an object for each customer: this reads a page, puts it into columns and forgets
// it.
func (s *Store) Start(ctx context.Context) error {
	pause := wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: insist, Cap: 10 * time.Second}
	from, left := "", pause
	for ctx.Err() == nil {
		var (
			reached string
			err     error
		)
		if from == "" {
			reached, err = s.list(ctx)
		} else {
			reached, err = s.watch(ctx, from)
		}
		if reached != from {
			left = pause // it gets somewhere
		}
		from = reached
		if err == nil {
			continue
		}
		if ctx.Err() == nil {
			ctrl.Log.WithName("consents").V(1).Info("the apiserver's consents can't be followed", "reason", reason(err), "anew", !passes(err))
		}
		if !passes(err) || left.Steps == 0 {
			from = ""
		}
		select {
		case <-ctx.Done():
		case <-time.After(left.Step()):
		}
	}
	return nil
}

// NeedLeaderElection says no: every replica knows the customers.
func (s *Store) NeedLeaderElection() bool { return false }

// list reads everybody as of one revision, which it returns, a page at a time.
// Until the last one is in, no fence has come by: what is on the next page may be
// older than it.
func (s *Store) list(ctx context.Context) (revision string, err error) {
	var (
		fence *v1alpha1.CustomerConsent
		there = map[string]bool{}
		next  string
	)
	for {
		var page v1alpha1.CustomerConsentList
		err := s.source.List(ctx, &page, client.InNamespace(s.namespace), client.Limit(pageOf), client.Continue(next))
		if err != nil {
			return "", fmt.Errorf("list customer consents: %w", err)
		}
		some := make([]*v1alpha1.CustomerConsent, 0, len(page.Items))
		for i := range page.Items {
			c := &page.Items[i]
			if c.Name == v1alpha1.FenceName {
				fence = c.DeepCopy()
				continue
			}
			there[c.Name] = true
			some = append(some, c)
		}
		s.take(some...)
		if next = page.Continue; next == "" {
			revision = page.ResourceVersion
			break
		}
	}
	for _, name := range s.table.Principals() {
		if !there[name] {
			s.forget(name)
		}
	}
	s.mu.Lock()
	s.complete = true
	s.announce() // also to whoever waits for nobody to arrive
	s.mu.Unlock()
	s.reached(revision, fence)
	return revision, nil
}

// watch takes in changes after a revision, in their order, and returns the one up
// to which it has come.
func (s *Store) watch(ctx context.Context, from string) (reached string, err error) {
	seconds := int64((watchFor + rand.N(watchFor)).Seconds())
	began := time.Now()
	w, err := s.source.Watch(ctx, &v1alpha1.CustomerConsentList{}, client.InNamespace(s.namespace), &client.ListOptions{Raw: &metav1.ListOptions{
		ResourceVersion: from, AllowWatchBookmarks: true, TimeoutSeconds: &seconds,
	}})
	if err != nil {
		return from, fmt.Errorf("watch customer consents: %w", err)
	}
	defer w.Stop()
	for reached = from; ; {
		var e watch.Event
		more := false
		select {
		case <-ctx.Done():
			return reached, nil
		case e, more = <-w.ResultChan():
		}
		c, ok := e.Object.(*v1alpha1.CustomerConsent)
		switch {
		case !more && reached == from && time.Since(began) < time.Second:
			return reached, errShort
		case !more:
			return reached, nil
		case e.Type == watch.Error || !ok:
			return reached, fmt.Errorf("watch customer consents: %w", apierrors.FromObject(e.Object))
		}
		reached = c.ResourceVersion
		s.happened(e.Type, c)
	}
}

var errShort = errors.New("watch customer consents: the apiserver ended it at once")

func (s *Store) happened(what watch.EventType, c *v1alpha1.CustomerConsent) {
	switch {
	case what == watch.Bookmark:
	case c.Name == v1alpha1.FenceName:
		if what != watch.Deleted {
			s.reached(c.ResourceVersion, c)
			return
		}
	case what == watch.Deleted:
		s.forget(c.Name)
	default:
		s.take(c)
	}
	s.reached(c.ResourceVersion, nil)
}

// passes says whether the same watch may work in a while. Else everybody is read
// anew: what it would bring is not kept any more, or is of another time.
func passes(err error) bool {
	status := apierrors.APIStatus(nil)
	switch {
	case !errors.As(err, &status):
		return true // it was not the apiserver's answer
	case apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge):
		return false
	}
	return apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) ||
		apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err)
}

// reason names nobody: an error that can't read an object may quote it.
func reason(err error) string {
	if r := apierrors.ReasonForError(err); r != metav1.StatusReasonUnknown {
		return string(r)
	}
	return fmt.Sprintf("%T", errors.Unwrap(err))
}

package door

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consentstore"
)

const (
	// tooFar is how many changes a watcher may be behind: reading everybody anew is
	// less work then.
	tooFar = 100_000
	// bookmarks are sent this often, so that who comes back need not begin anew.
	bookmarks = time.Minute
)

// Watch tells of changes in their order, from a revision on; without one, of
// everybody first. It reads what it tells from the database, and keeps nobody.
func (s *storage) Watch(ctx context.Context, o *metainternalversion.ListOptions) (watch.Interface, error) {
	q, err := s.readQuery(ctx, o)
	if err != nil {
		return nil, err
	}
	w := &watcher{storage: s, query: q, events: make(chan watch.Event, 100), stopped: make(chan struct{})}
	if o != nil {
		w.marks, w.initial = o.AllowWatchBookmarks, o.SendInitialEvents != nil && *o.SendInitialEvents
	}
	if w.initial || o == nil || o.ResourceVersion == "" || o.ResourceVersion == "0" {
		w.anew = true
	} else if w.at, err = strconv.ParseInt(o.ResourceVersion, 10, 64); err != nil {
		return nil, apierrors.NewBadRequest("resourceVersion: " + strconv.Quote(o.ResourceVersion) + ": this is not what a list ended with")
	}
	if !w.anew {
		_, head, err := s.Store.Changes(ctx, w.at, 1)
		if err != nil {
			return nil, s.problem(err, "")
		}
		if head < w.at || head-w.at > tooFar { // after a restore, or after a long time
			return nil, apierrors.NewResourceExpired("too old resource version: list them anew")
		}
	}
	go w.run(ctx)
	return w, nil
}

// watcher is one watch. It ends with its context, or when it is stopped.
type watcher struct {
	*storage
	query   *query
	events  chan watch.Event
	once    sync.Once
	stopped chan struct{}

	at      int64            // up to this revision everything was told
	anew    bool             // everybody is told first
	initial bool             // and who watches wants to know when that is done
	marks   bool             // bookmarks are wanted
	newer   map[string]int64 // who was told as of later than at
}

// ResultChan implements watch.Interface.
func (w *watcher) ResultChan() <-chan watch.Event { return w.events }

// Stop implements watch.Interface.
func (w *watcher) Stop() { w.once.Do(func() { close(w.stopped) }) }

// run tells until nobody listens or something is wrong, and then says what.
func (w *watcher) run(ctx context.Context) {
	defer close(w.events)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-w.stopped:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := w.follow(ctx)
	if ctx.Err() != nil {
		return
	}
	status := apierrors.NewInternalError(err).ErrStatus
	if known := apierrors.APIStatus(nil); errors.As(w.problem(err, ""), &known) {
		status = known.Status()
	}
	w.tell(ctx, watch.Event{Type: watch.Error, Object: &status})
}

// follow returns what went wrong, or that ctx is done.
func (w *watcher) follow(ctx context.Context) error {
	if w.anew {
		if err := w.everybody(ctx); err != nil {
			return err
		}
	}
	tick := time.NewTicker(bookmarks)
	defer tick.Stop()
	for {
		changed := w.Store.Changed() // before the look: what comes after it is not missed
		if err := w.catchUp(ctx); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-tick.C:
			w.bookmark(ctx, false)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// everybody tells of all who are there, page by page.
func (w *watcher) everybody(ctx context.Context) error {
	w.newer = map[string]int64{}
	for {
		page, err := w.page(ctx, w.query)
		if err != nil {
			return err
		}
		if w.at, err = strconv.ParseInt(w.query.revision, 10, 64); err != nil {
			return err
		}
		for _, c := range page {
			w.query.after = c.Name
			if revision, err := strconv.ParseInt(c.ResourceVersion, 10, 64); err == nil && revision > w.at {
				w.newer[c.Name] = revision
			}
			if c = w.chosen(c); c != nil && !w.tell(ctx, watch.Event{Type: watch.Added, Object: c}) {
				return ctx.Err()
			}
		}
		if len(page) < pageOf {
			w.bookmark(ctx, w.initial)
			return nil
		}
	}
}

// catchUp tells of all changes that there are by now.
func (w *watcher) catchUp(ctx context.Context) error {
	for {
		changes, head, err := w.Store.Changes(ctx, w.at, pageOf)
		if err != nil {
			return err
		}
		for i := range changes {
			c := &changes[i]
			w.at = c.Revision
			if c.Revision <= w.newer[c.Name] {
				continue // told already, as of later
			}
			if e, ok := w.event(c); ok && !w.tell(ctx, e) {
				return ctx.Err()
			}
		}
		if len(changes) < pageOf {
			w.at, w.newer = max(w.at, head), nil
			return nil
		}
	}
}

// event is what a change is to who chose some customers: one who is among them
// no longer is gone. Whoever was erased is gone for everybody, for nobody knows
// any more who they were.
func (w *watcher) event(c *consentstore.Change) (watch.Event, bool) {
	before, after := w.chosen(c.Before), w.chosen(c.After)
	switch {
	case c.Erased && !w.query.nobody:
		gone := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{
			Namespace: w.Namespace, Name: c.Name, ResourceVersion: strconv.FormatInt(c.Revision, 10),
		}}
		return watch.Event{Type: watch.Deleted, Object: w.shown(gone)}, true
	case before == nil && after != nil:
		return watch.Event{Type: watch.Added, Object: after}, true
	case before != nil && after != nil:
		return watch.Event{Type: watch.Modified, Object: after}, true
	case before != nil && c.After != nil:
		return watch.Event{Type: watch.Deleted, Object: before}, true
	}
	return watch.Event{}, false
}

// chosen is the consent as it is shown, if it is one of those asked for.
func (w *watcher) chosen(c *v1alpha1.CustomerConsent) *v1alpha1.CustomerConsent {
	if c == nil {
		return nil
	}
	if c = w.shown(c); w.query.matches(c) {
		return c
	}
	return nil
}

// bookmark says how far this is.
func (w *watcher) bookmark(ctx context.Context, complete bool) {
	if !w.marks {
		return
	}
	c := &v1alpha1.CustomerConsent{}
	c.SetGroupVersionKind(v1alpha1.StoreGroupVersion.WithKind("CustomerConsent"))
	c.ResourceVersion = strconv.FormatInt(w.at, 10)
	if complete {
		c.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
	}
	w.tell(ctx, watch.Event{Type: watch.Bookmark, Object: c})
}

// tell is false if nobody listens any more.
func (w *watcher) tell(ctx context.Context, e watch.Event) bool {
	select {
	case w.events <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

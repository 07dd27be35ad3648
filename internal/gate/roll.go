package gate

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
)

const (
	// callEvery is how soon it is seen that a pod is gone.
	callEvery = 5 * time.Second
	// quietFor is how long nobody looks after a pod that was heard from: a token
	// is believed for as long.
	quietFor = believed
)

// roll is which pods were heard from, and when. A desk that begins anew knows
// none: what those hold whom it does not hear from again expires.
type roll struct {
	pods Attendance

	mu   sync.Mutex
	seen map[string]attendee // by the pod's UID
}

type attendee struct {
	holder Holder
	at     time.Time
}

func newRoll(pods Attendance) *roll { return &roll{pods: pods, seen: map[string]attendee{}} }

func (r *roll) heard(h Holder, now time.Time) {
	if r.pods == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[h.Pod] = attendee{holder: h, at: now}
}

// quiet are those of the pods that were heard from once, and not lately. Who
// holds nothing and was not heard from is forgotten.
func (r *roll) quiet(holding map[string]bool, now time.Time) (out []Holder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for uid, a := range r.seen {
		switch {
		case now.Sub(a.at) <= quietFor:
		case holding[uid]:
			out = append(out, a.holder)
		default:
			delete(r.seen, uid)
		}
	}
	return out
}

// callRoll takes back what pods hold that are gone. That can't take anything
// from a pod that is there after all: a permit that was redeemed first stays
// redeemed, and one that is taken back first can't be redeemed any more.
func (d *Desk) callRoll(ctx context.Context) error {
	if d.roll.pods == nil {
		return nil
	}
	seen, err := d.advance(ctx)
	if err != nil {
		return err
	}
	live, holding := d.live(), map[string]bool{}
	for i := range live {
		holding[live[i].Pod] = true
	}
	gone := map[string]bool{}
	for _, h := range d.roll.quiet(holding, d.clock()) {
		if gone[h.Pod], err = d.roll.pods.Gone(ctx, h); err != nil {
			return fmt.Errorf("see whether a pod is gone: %w", err)
		}
	}
	var records []contacts.Record
	for i := range live {
		if p := &live[i]; gone[p.Pod] {
			records = append(records, p.Void(newKey("permit/"+p.ID), d.clock().UTC(), v1alpha1.CodePodGone))
		}
	}
	_, err = d.append(ctx, records, seen)
	return err
}

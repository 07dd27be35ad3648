package gate

import (
	"context"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/permit"
)

// tendAgain is how soon what failed is tried again.
const tendAgain = 5 * time.Second

// Tend keeps order until ctx is done: it gives back what lapsed and what pods
// hold that are gone, and takes back permits of whose customer the answer has
// changed. Nothing depends on how soon: a permit that lapsed or whose customer
// said no can't be redeemed anyway.
func (d *Desk) Tend(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var (
		mark      uint64
		forgotten = d.clock()
		called    = d.clock()
	)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		next, err := d.tend(ctx, mark)
		if err != nil && ctx.Err() == nil {
			d.log.Error(err, "permits are not kept in order; those that lapsed keep their places")
			tick.Reset(tendAgain)
			continue
		}
		tick.Reset(lookEvery)
		mark = next
		if now := d.clock(); now.Sub(called) > callEvery {
			if err := d.callRoll(ctx); err != nil && ctx.Err() == nil {
				d.log.Error(err, "nobody knows which pods are gone; what they hold expires")
			}
			called = now
		}
		if now := d.clock(); now.Sub(forgotten) > time.Hour {
			d.forget(now)
			forgotten = now
		}
	}
}

func (d *Desk) forget(now time.Time) {
	since := d.past.Forget(now)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.book.Forget(since)
}

// tend looks once at all live permits; mark is up to which the consents were
// heeded before.
func (d *Desk) tend(ctx context.Context, mark uint64) (uint64, error) {
	seen, err := d.advance(ctx)
	if err != nil {
		return mark, err
	}
	changed, next, all := d.world.Records().Since(mark)
	who := make(map[string]bool, len(changed))
	for _, id := range changed {
		who[id] = true
	}
	var (
		at      = d.clock().UTC()
		records []contacts.Record
		doubt   = map[contacts.Run][]permit.Permit{}
	)
	for _, p := range d.live() {
		switch {
		case p.Lapsed(at):
			records = append(records, p.Expire(newKey("permit/"+p.ID), at))
		case all || who[p.Principal]:
			doubt[p.Run()] = append(doubt[p.Run()], p)
		}
	}
	if _, err := d.append(ctx, records, seen); err != nil {
		return mark, err
	}
	for _, permits := range doubt {
		if err := d.void(ctx, permits); err != nil {
			return mark, err
		}
	}
	return next, nil
}

// void takes back those of one run's permits whose customer may not be
// contacted any more.
func (d *Desk) void(ctx context.Context, permits []permit.Permit) error {
	c, err := d.current(ctx, Holder{Campaign: permits[0].Campaign()})
	if err != nil {
		return nil //nolint:nilerr // the run is over or nobody knows: what is not redeemed expires
	}
	seen, err := d.advance(ctx)
	if err != nil {
		return err
	}
	now := permits[:0]
	for i := range permits { // as they are at seen: one may have been redeemed meanwhile
		if p, live := d.stillLive(permits[i].ID); live {
			now = append(now, p)
		}
	}
	permits = now
	reasons, err := d.ask(ctx, c, permits)
	if err != nil {
		return err
	}
	var records []contacts.Record
	for i := range permits {
		if decision.Personal(reasons[i]) != v1alpha1.VerdictAllow {
			records = append(records, permits[i].Void(newKey("permit/"+permits[i].ID), d.clock().UTC(), permit.Codes(reasons[i])...))
		}
	}
	_, err = d.append(ctx, records, seen)
	return err
}

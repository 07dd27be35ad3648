package main

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/campaign"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/contacts"
)

// past marries the projection of the contact ledger with the gate that feeds
// it: what the controllers know of customers' contacts.
type past struct {
	projection *contacts.Projection
	gate       *lateGate
	clock      clock.Clock
}

// View leaves out what the runs that go on now have added.
func (p past) View(campaign types.UID, jobs []types.UID) audience.Ledger {
	runs := make([]contacts.Run, len(jobs))
	for i, job := range jobs {
		runs[i] = contacts.Run{UID: string(campaign), Job: string(job)}
	}
	return p.projection.View(p.clock.Now(), runs...)
}

// Position is how far the views have come.
func (p past) Position() contacts.Position { return p.projection.Position() }

// Current brings the views up to everything acknowledged before the call.
func (p past) Current(ctx context.Context) error {
	if err := p.gate.Fence(ctx, p.projection); err != nil {
		return err
	}
	return p.projection.Gap()
}

// Healthy is nil while the ledger can be read, and has all that happened.
func (p past) Healthy() error {
	if err := p.gate.Healthy(); err != nil {
		return err
	}
	return p.projection.Gap()
}

// Consents is the latest revision of the consents that a contact was decided on.
func (p past) Consents() string { return p.projection.Consents() }

// Progress is how far a Job has come that draws permits.
func (p past) Progress(c, job types.UID) contacts.Progress {
	return p.projection.Progress(contacts.Run{UID: string(c), Job: string(job)})
}

// Changed is closed when the views learn something.
func (p past) Changed() <-chan struct{} {
	_, moved := p.projection.Moved()
	return moved
}

// Record tells the ledger who counts as contacted by a run, whom it does not
// have yet: a retry after a crash has another time and perhaps other policies,
// and the first word stands. Of whom the ledger has news that the release was
// not decided on, nothing is written: an operator that was paused must not use a
// place under a cap that another has taken. Then the views are brought up to it,
// so that the next release sees it.
func (p past) Record(ctx context.Context, r campaign.Released) error {
	run := contacts.Run{UID: string(r.UID), Job: string(r.Run)}
	now := p.clock.Now()
	with, without := p.projection.View(now), p.projection.View(now, run)
	records := make([]contacts.Record, 0, len(r.Principals))
	for _, id := range r.Principals {
		if with.Version(id) != without.Version(id) {
			continue
		}
		records = append(records, contacts.Record{
			Key: fmt.Sprintf("run/%s/%s", r.Run, id), At: r.At, Principal: id, Event: contacts.Released,
			Brand: r.Campaign.Brand, Purpose: r.Campaign.Purpose, Class: v1alpha1.PurposeClass(r.Campaign.PurposeClass),
			Channel: v1alpha1.Channel(r.Campaign.Channel), Topic: r.Campaign.Topic,
			Campaign: contacts.Campaign{
				Namespace: r.Campaign.Namespace, Name: r.Campaign.Name, UID: string(r.UID), Generation: r.Generation, Job: string(r.Run),
			},
			PolicyDigest: r.PolicyDigest, ConsentRevision: r.ConsentRevision,
		})
	}
	if len(records) == 0 {
		return nil
	}
	results, err := p.gate.Append(ctx, records, r.Seen)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(results, func(x contacts.Result) bool { return x.Moved }) {
		return campaign.ErrMoved
	}
	return p.Current(ctx)
}

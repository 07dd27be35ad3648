package sender

import (
	"context"
	"errors"
	"time"

	"github.com/codb-dev/codb/internal/pause"
)

// permitted is somebody whose permit is drawn.
type permitted struct {
	permit  permit
	address string
}

const (
	// drawWait is how long a question for people waits at the gate.
	drawWait = 20 * time.Second
	// drawPause keeps a gate that does not let us wait from being asked in a circle.
	drawPause = time.Second
	// ahead is how many batches are drawn at once: few, since a permit that is
	// drawn counts against the person's caps until it expires.
	ahead = 4
)

// draw asks for people until there are none left, or ctx is done.
func (r *run) draw(ctx context.Context, drawn chan<- permitted) error {
	for {
		asked := time.Now()
		answer, err := r.gate.draw(ctx, r.drawSize(), drawWait)
		if err != nil {
			return err
		}
		r.progress.drew(answer)
		for i, p := range answer.Permits {
			address, err := r.resolver.address(ctx, p)
			if err != nil {
				r.leave(answer.Permits[i:]...)
				return err
			}
			select {
			case drawn <- permitted{p, address}:
			case <-ctx.Done():
				r.leave(answer.Permits[i:]...)
				return nil
			}
		}
		if answer.Exhausted {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.finished = true
			return nil
		}
		if len(answer.Permits) == 0 && time.Since(asked) < drawPause && !pause.For(ctx, drawPause) {
			return nil
		}
	}
}

func (r *run) drawSize() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return min(ahead*r.pace.size, maxBatch)
}

// handOver redeems permits and hands the people over, while the sender takes
// more, until drawn is closed or ctx is done. Redemptions end with a later
// context: what was redeemed must be known, to be reported.
func (r *run) handOver(ctx, redeeming context.Context, drawn <-chan permitted, halt context.CancelCauseFunc) error {
	for r.takeSlot(ctx) {
		batch := r.gather(ctx, drawn)
		if len(batch) == 0 {
			return nil
		}
		if ctx.Err() != nil { // everything must stop: nobody new is asked about
			r.leaveAll(batch)
			return nil
		}
		ready, answer, err := r.redeem(redeeming, batch)
		if err != nil {
			r.leaveAll(batch)
			return err
		}
		var allowed time.Duration
		for i, p := range ready {
			allowed = answer.allowed(answer.results[p.permit.ID])
			if err := r.give(ctx, p, answer.asked.Add(allowed), i == 0, halt); err != nil {
				for _, p := range ready[i+1:] {
					r.notHanded(p, "not handed over")
				}
				return err
			}
		}
		if len(ready) == 0 {
			<-r.slots
			continue
		}
		r.mu.Lock()
		r.pace.took(len(batch), time.Since(answer.asked), allowed)
		r.mu.Unlock()
	}
	return nil
}

// takeSlot waits until the sender can take one more.
func (r *run) takeSlot(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	default:
	}
	select {
	case r.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// gather waits for one, and takes what else is there.
func (r *run) gather(ctx context.Context, drawn <-chan permitted) []permitted {
	var batch []permitted
	select {
	case p, more := <-drawn:
		if !more {
			return nil
		}
		batch = append(batch, p)
	case <-ctx.Done():
		return nil
	}
	for len(batch) < r.pace.size {
		select {
		case p, more := <-drawn:
			if !more {
				return batch
			}
			batch = append(batch, p)
		default:
			return batch
		}
	}
	return batch
}

// redeem asks for the last time whether the people of a batch may be contacted,
// and returns those who may.
func (r *run) redeem(ctx context.Context, batch []permitted) ([]permitted, redemption, error) {
	ids := make([]string, len(batch))
	for i, p := range batch {
		ids[i] = p.permit.ID
	}
	answer, err := r.gate.redeem(ctx, ids)
	if err != nil {
		return nil, answer, err
	}
	var ready []permitted
	for _, p := range batch {
		switch result := answer.results[p.permit.ID]; result.State {
		case stateRedeemed:
			if r.resolver != nil && p.address == "" {
				r.notHanded(p, "no address")
				continue
			}
			ready = append(ready, p)
		case stateRefused:
			r.progress.refused(result.Reasons)
		case stateAlreadyRedeemed:
			// The answer of an earlier attempt was lost: nobody else has the
			// permit, and nobody was handed over with it.
			if answer.again {
				r.notHanded(p, "not handed over: the answer was lost")
			} else {
				r.progress.lapsed()
			}
		default: // expired, voided, unknown: the customer is drawn again if there is still cause to
			r.progress.lapsed()
		}
	}
	return ready, answer, nil
}

// give hands one person over, or reports why not. first says that the slot is
// taken already.
func (r *run) give(ctx context.Context, p permitted, by time.Time, first bool, halt context.CancelCauseFunc) error {
	deadline, cancel := context.WithDeadline(ctx, by)
	defer cancel()
	if !first && !r.takeSlot(deadline) {
		r.notHanded(p, "not handed over in time")
		return nil
	}
	r.begin(p, halt)
	if deadline.Err() != nil {
		by = time.Time{} // and so it is too late
	}
	err := r.sender.tell(person{
		Permit: p.permit.ID, Principal: p.permit.Principal, Address: p.address,
		Channel: p.permit.Channel, Purpose: p.permit.Purpose, Topic: p.permit.Topic, Language: p.permit.Language,
	}, by)
	if err != nil {
		r.finish(p.permit.ID)
		r.notHanded(p, "not handed over")
	}
	if errors.Is(err, errLate) {
		return nil
	}
	return err
}

// begin notes that the sender works on somebody, before it can answer.
func (r *run) begin(p permitted, halt context.CancelCauseFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := inWork{secrets: []string{p.permit.Principal}}
	if p.address != "" {
		w.secrets = append(w.secrets, p.address)
	}
	r.progress.handed(1)
	w.stuck = time.AfterFunc(r.options.Patience, func() { halt(errStuck) })
	r.work[p.permit.ID] = w
}

var errStuck = errors.New("the sender has not said for too long what became of somebody (--patience)")

// finish forgets whom the sender worked on, and frees the slot.
func (r *run) finish(id string) (inWork, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w, ok := r.work[id]
	if ok {
		w.stuck.Stop()
		delete(r.work, id)
		r.progress.handed(-1)
		<-r.slots
	}
	return w, ok
}

// notHanded reports somebody who was redeemed, and whom the sender never got.
func (r *run) notHanded(p permitted, why string) {
	r.progress.came(outcomeFailed)
	r.told <- outcome{Permit: p.permit.ID, Outcome: outcomeFailed, Detail: why}
}

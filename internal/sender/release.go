package sender

import "context"

// leave notes permits that will not be redeemed.
func (r *run) leave(permits ...permit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range permits {
		r.left = append(r.left, p.ID)
	}
}

func (r *run) leaveAll(batch []permitted) {
	for _, p := range batch {
		r.leave(p.permit)
	}
}

// release gives back what was drawn in vain, so that another pod need not wait
// for it to expire. What can't be given back does: that is no failure of the run.
func (r *run) release(ctx context.Context) {
	for left := r.left; len(left) > 0; {
		batch := left[:min(len(left), maxBatch)]
		left = left[len(batch):]
		results, err := r.gate.release(ctx, batch)
		if err != nil {
			return
		}
		for _, result := range results {
			if result.State == stateAlreadyRedeemed { // the answer to that never came, and so nobody was handed over
				r.progress.came(outcomeFailed)
				r.told <- outcome{Permit: result.Permit, Outcome: outcomeFailed, Detail: "not handed over: the answer was lost"}
			}
		}
	}
}

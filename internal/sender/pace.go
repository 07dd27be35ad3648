package sender

import "time"

// pace sizes the batches that are redeemed together: as large as the sender is
// fast, and so small that the last of a batch is handed over soon after the
// question whether it still may be.
type pace struct {
	size, least int
}

// soon is how long after its redemption the last of a batch should be handed
// over at most.
const soon = time.Second

func newPace(atOnce int) *pace { return &pace{size: atOnce, least: atOnce} }

// took learns from a batch: how many it had, how long it took until the last
// one was handed over, and how long it might have taken.
func (p *pace) took(n int, used, allowed time.Duration) {
	aim := min(soon, allowed/4)
	switch {
	case used > aim:
		p.size = max(p.size/2, p.least)
	case n == p.size && used < aim/2:
		p.size = min(p.size*2, maxBatch)
	}
}

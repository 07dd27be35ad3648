package contacts

import "time"

// Forget drops the contacts that no look-back from now on can see, and returns
// since when all are kept. A clock alone takes nothing away, however far ahead it
// jumps: what is kept is counted from the latest record at most.
func (p *Projection) Forget(now time.Time) (since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	since = now
	if latest := time.Unix(0, p.newest); latest.Before(now) {
		since = latest
	}
	since = since.Add(-p.lookBack)
	p.horizon = since.UnixNano()
	for id, list := range p.people {
		kept := make([]entry, 0, len(list))
		for _, e := range list {
			if e.at >= p.horizon || !p.shapes.list[e.shape].contact() {
				kept = append(kept, e)
			}
		}
		if len(kept) == len(list) {
			continue
		}
		p.entries -= len(list) - len(kept)
		if len(kept) == 0 {
			delete(p.people, id)
		} else {
			p.people[id] = kept
		}
	}
	return since
}

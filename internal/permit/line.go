package permit

import (
	"container/heap"
	"time"
)

// Line is who is to be asked about next for one run: first those of whom
// nothing is known yet or something has changed, then, when their time has come,
// those who were held or refused. Whoever holds a permit or was contacted stands
// in no line. It is not safe for concurrent use.
type Line struct {
	ahead   []string            // to be asked before the others: their answer was yes
	fresh   []string            // to be asked
	met     map[string]struct{} // those of fresh that came later
	waiting map[string]wait
	held    moments
	other   moments // refused, or not meant, until then
	nHeld   int
}

type wait struct {
	held bool
	at   int64 // nanoseconds; 0: never by itself
}

type moment struct {
	id string
	at int64
}

// moments is a heap, the earliest first. Those that don't agree with waiting
// any more are left in until they come up.
type moments []moment

func (m moments) Len() int           { return len(m) }
func (m moments) Less(i, j int) bool { return m[i].at < m[j].at }
func (m moments) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *moments) Push(x any)        { *m = append(*m, x.(moment)) }
func (m *moments) Pop() any {
	old := *m
	last := old[len(old)-1]
	*m = old[:len(old)-1]
	return last
}

// NewLine lets everybody stand in line, in this order.
func NewLine(principals []string) *Line {
	return &Line{fresh: principals, met: map[string]struct{}{}, waiting: map[string]wait{}}
}

// Meet says that something about the customer has changed.
func (l *Line) Meet(id string) {
	l.leave(id)
	if _, in := l.met[id]; !in {
		l.met[id] = struct{}{}
		l.fresh = append(l.fresh, id)
	}
}

// Next takes up to n customers out of the line, each once.
func (l *Line) Next(n int) []string {
	out, taken := make([]string, 0, n), make(map[string]struct{}, n)
	for _, from := range []*[]string{&l.ahead, &l.fresh} {
		for len(out) < n && len(*from) > 0 {
			id := (*from)[0]
			*from = (*from)[1:]
			delete(l.met, id)
			l.leave(id)
			if _, twice := taken[id]; !twice {
				taken[id] = struct{}{}
				out = append(out, id)
			}
		}
		if len(*from) == 0 {
			*from = nil // which else would keep room for everybody
		}
	}
	return out
}

// Return puts a customer back at the head: the answer was yes, but for
// somebody who did not want so many.
func (l *Line) Return(id string) { l.ahead = append(l.ahead, id) }

// Wait lets a customer wait until an instant; zero: until something changes. Of
// who is not held, nothing is kept then: those not meant may be nearly all.
func (l *Line) Wait(id string, held bool, until time.Time) {
	l.leave(id)
	if !held && until.IsZero() {
		return
	}
	w := wait{held: held}
	if !until.IsZero() {
		w.at = until.UnixNano()
		to := &l.other
		if held {
			to = &l.held
		}
		heap.Push(to, moment{id, w.at})
	}
	if held {
		l.nHeld++
	}
	l.waiting[id] = w
}

func (l *Line) leave(id string) {
	if w, in := l.waiting[id]; in {
		delete(l.waiting, id)
		if w.held {
			l.nHeld--
		}
	}
}

// Wake brings back those whose time has come.
func (l *Line) Wake(now time.Time) {
	for _, h := range []*moments{&l.held, &l.other} {
		for len(*h) > 0 && (*h)[0].at <= now.UnixNano() {
			m := heap.Pop(h).(moment)
			if w, in := l.waiting[m.id]; in && w.at == m.at {
				l.Meet(m.id)
			}
		}
	}
}

// Held is how many wait for an instant that comes by itself.
func (l *Line) Held() int { return l.nHeld }

// Asked says whether there is nobody left to be asked now.
func (l *Line) Asked() bool { return len(l.ahead) == 0 && len(l.fresh) == 0 }

// Moment is the first at which somebody held may be allowed; zero: unknown.
func (l *Line) Moment() time.Time { return l.first(&l.held) }

// Wakes is the first instant at which anybody is to be asked again; zero:
// nobody is.
func (l *Line) Wakes() time.Time {
	a, b := l.first(&l.held), l.first(&l.other)
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func (l *Line) first(h *moments) time.Time {
	for len(*h) > 0 {
		m := (*h)[0]
		if w, in := l.waiting[m.id]; in && w.at == m.at {
			return time.Unix(0, m.at).UTC()
		}
		heap.Pop(h)
	}
	return time.Time{}
}

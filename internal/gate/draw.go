package gate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/permit"
)

// Drawn is the answer to a draw.
type Drawn struct {
	Permits []DrawnPermit `json:"permits"`
	// Exhausted: the run can contact nobody any more, and nobody holds a permit.
	Exhausted bool `json:"exhausted"`
	// Held is how many customers wait for an instant that comes by itself.
	Held int `json:"held"`
	// Next is the first instant at which one of them may be allowed.
	Next *time.Time `json:"next,omitempty"`
}

// DrawnPermit is a permit with what the sender needs to know.
type DrawnPermit struct {
	Permit    string    `json:"permit"`
	Principal string    `json:"principal"`
	Channel   string    `json:"channel"`
	Purpose   string    `json:"purpose"`
	Topic     string    `json:"topic,omitempty"`
	Language  string    `json:"language,omitempty"`
	Expires   time.Time `json:"expires"`
}

const (
	// lookEvery is how soon a draw that waits sees what has changed.
	lookEvery = 100 * time.Millisecond
	// proveEvery is how soon it sees that the campaign or a policy has.
	proveEvery = 5 * time.Second
	// atOnce is about how many customers the policies are asked about together.
	atOnce = 256
	// atMost is about how many are looked at in one go who are perhaps not meant.
	atMost = 1 << 14
)

// Draw hands up to max permits to the pod. It waits until there is one, the run
// is exhausted, or the time is over; leave ends the waiting too.
func (d *Desk) Draw(ctx context.Context, h Holder, max int, wait time.Duration, leave <-chan struct{}) (*Drawn, error) {
	d.roll.heard(h, d.clock())
	over := time.NewTimer(wait)
	defer over.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	last, lull := wait <= 0, lookEvery
	for {
		news, had := d.news(h.Run()), d.outstanding(h.Run()) // from before the look: what comes meanwhile is not missed
		out, refused, err := d.drawOnce(ctx, h, max)
		if err != nil || len(out.Permits) > 0 || out.Exhausted || last {
			return out, err
		}
		proven, pause := time.Now(), d.pause(out, lull)
		for again := false; !again; {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-over.C:
				return out, nil
			case <-leave:
				return out, nil
			case <-news:
				news = d.news(h.Run())
			case <-look.C:
			}
			if refused {
				again = time.Since(proven) >= pause || d.resumed(h.Run(), &had)
			} else {
				again = time.Since(proven) > proveEvery || d.stirs(ctx, h.Run())
			}
		}
		if lull = min(2*lull, proveEvery); !refused {
			lull = lookEvery
		}
	}
}

// pause is how long to leave a run alone that is refused as a whole: only a proof
// shows whether it still is, and each costs the cluster a write.
func (d *Desk) pause(out *Drawn, lull time.Duration) time.Duration {
	if out.Next != nil {
		if left := out.Next.Sub(d.clock()); left > 0 {
			return min(lull, left)
		}
	}
	return lull
}

// resumed says whether another pod of a run that was refused had a permit since.
func (d *Desk) resumed(run contacts.Run, had *int) bool {
	before := *had
	*had = d.outstanding(run)
	return *had > before
}

// stirs says whether somebody is to be asked about, or nobody is left: another
// pod of the run may have been the one to find that out.
func (d *Desk) stirs(ctx context.Context, run contacts.Run) bool {
	q := d.queue(run)
	done, err := q.take(ctx)
	if err != nil {
		return false
	}
	defer done()
	if _, err := d.advance(ctx); err != nil || q.line == nil {
		return true // let the draw say why
	}
	d.meet(q)
	q.line.Wake(d.now())
	if q.line.Asked() {
		return d.exhausted(q, run)
	}
	return d.room(run, q.pace) > 0
}

// exhausted says that the run can contact nobody any more, and nobody holds a
// permit.
func (d *Desk) exhausted(q *queue, run contacts.Run) bool {
	return q.line.Asked() && q.line.Held() == 0 && d.outstanding(run) == 0
}

// drawOnce draws for those who are to be asked about now; refused says that
// nobody was, for the campaign may contact nobody at all.
func (d *Desk) drawOnce(ctx context.Context, h Holder, most int) (out *Drawn, refused bool, err error) {
	c, err := d.current(ctx, h)
	if err != nil {
		return nil, false, err
	}
	if r := c.Refusal; r != nil {
		out := &Drawn{Permits: []DrawnPermit{}} // nobody now, and perhaps later: the operator stops what should not wait
		if !r.Until.IsZero() {
			out.Next = &r.Until
		}
		return out, true, nil
	}
	out, err = d.drawFor(ctx, c, h, most)
	return out, false, err
}

// drawFor draws for a campaign that may contact somebody.
func (d *Desk) drawFor(ctx context.Context, c *Case, h Holder, most int) (*Drawn, error) {
	q := d.queue(c.Campaign.Run())
	done, err := q.take(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if _, err := d.advance(ctx); err != nil {
		return nil, err
	}
	if err := d.whole(ctx, c, h); err != nil {
		return nil, err
	}
	if q.key != c.Key {
		q.begin(c.Key, d)
	}
	d.meet(q)
	out := &Drawn{Permits: []DrawnPermit{}}
	q.line.Wake(d.now())
	q.pace = c.PerMinute
	most = min(most, d.room(c.Campaign.Run(), q.pace))
	for len(out.Permits) < most && !q.line.Asked() {
		if err := d.drawSome(ctx, c, q, h.Pod, most, out); err != nil {
			return nil, err
		}
	}
	out.Held = q.line.Held()
	if next := q.line.Moment(); out.Held > 0 && !next.IsZero() {
		out.Next = &next
	}
	out.Exhausted = len(out.Permits) == 0 && d.exhausted(q, c.Campaign.Run())
	return out, nil
}

// room is how many permits a pace leaves the run now.
func (d *Desk) room(run contacts.Run, perMinute int) int {
	if perMinute == 0 {
		return maxPermits
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return max(0, perMinute-d.book.Outstanding(run)-d.book.Since(run, d.clock().Add(-time.Minute)))
}

func (d *Desk) outstanding(run contacts.Run) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.book.Outstanding(run)
}

// begin lets everybody stand in line anew: the campaign or a policy has changed.
func (q *queue) begin(key string, d *Desk) {
	records := d.world.Records()
	_, q.records, _ = records.Since(0) // before the list: it may be newer, never older
	_, q.past, _ = d.past.Since(0)
	all := records.Principals()
	slices.Sort(all)
	q.key, q.line = key, permit.NewLine(all)
}

// meet brings back to the line whom something new is known of.
func (d *Desk) meet(q *queue) {
	people, records, all := d.world.Records().Since(q.records)
	past, mark, allPast := d.past.Since(q.past)
	if all || allPast {
		q.begin(q.key, d)
		return
	}
	q.records, q.past = records, mark
	for _, id := range people {
		q.line.Meet(id)
	}
	for _, id := range past {
		q.line.Meet(id)
	}
}

// drawSome asks about the next customers, and reserves for those allowed.
func (d *Desk) drawSome(ctx context.Context, c *Case, q *queue, pod string, most int, out *Drawn) error {
	seen, now := d.past.Position().Sequence, d.now()
	want := most - len(out.Permits)
	a, ids := d.next(c, q, min(max(want, 64), atOnce), now)
	answers, err := d.judge(ctx, c, a, now)
	if err == nil {
		err = d.giveWay(ctx, c, a, answers, now)
	}
	if err != nil {
		q.back(ids)
		return err
	}
	records := d.decide(c, q, pod, a, answers, want)
	moved, err := d.append(ctx, records, seen)
	if err != nil {
		q.back(ids)
		return err
	}
	for i := range records {
		r := &records[i]
		switch {
		case r.Event != contacts.Drawn:
		case moved[i]:
			q.line.Meet(r.Principal)
		default:
			out.Permits = append(out.Permits, d.drawn(r))
		}
	}
	return nil
}

// next takes customers out of the line until there are n to ask about, or very
// many were not meant: each time that the ledger is written to, much is to come
// of it.
func (d *Desk) next(c *Case, q *queue, n int, now time.Time) (a *asked, taken []string) {
	a = &asked{ids: make([]string, 0, n), subjects: make([]decision.Subject, 0, n)}
	for len(a.ids) < n && len(taken) < atMost && !q.line.Asked() {
		ids := q.line.Next(n - len(a.ids))
		taken = append(taken, ids...)
		for _, id := range ids {
			if d.standing(c.Campaign.Run(), id) != permit.Free {
				continue // something will be known of them when that is over
			}
			if code, until := d.subject(c, a, id, now); code == v1alpha1.CodeNotTargeted {
				q.line.Wait(id, false, until)
			}
		}
	}
	return a, taken
}

// back puts into the line again whom nothing came of.
func (q *queue) back(ids []string) {
	for _, id := range ids {
		q.line.Meet(id)
	}
}

// decide makes records of answers: a permit for who is allowed, as many as are
// wanted, and a note for who is not, once.
func (d *Desk) decide(c *Case, q *queue, pod string, a *asked, answers []decision.Answer, want int) []contacts.Record {
	out := make([]contacts.Record, 0, len(a.ids))
	at, drawn := d.clock().UTC(), 0
	for i, id := range a.ids {
		answer := &answers[i]
		verdict := decision.Personal(answer.Reasons)
		switch {
		case verdict == v1alpha1.VerdictAllow && drawn < want:
			out = append(out, c.Draw(newID(at), pod, id, at))
			drawn++
			continue
		case verdict == v1alpha1.VerdictAllow:
			q.line.Return(id)
			continue
		}
		q.line.Wait(id, verdict == v1alpha1.VerdictHold, answer.StaleAt)
		note := c.Note("note/"+newID(at), id, at, answer.Reasons)
		if !d.noted(&note) {
			out = append(out, note)
		}
	}
	return out
}

func (d *Desk) noted(r *contacts.Record) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.book.Noted(r)
}

func (d *Desk) drawn(r *contacts.Record) DrawnPermit {
	p := DrawnPermit{
		Permit: r.Permit, Principal: r.Principal, Channel: string(r.Channel), Purpose: r.Purpose, Topic: r.Topic, Expires: r.Until,
	}
	if rec, ok := d.world.Records().Get(r.Principal); ok {
		p.Language = rec.Language()
	}
	return p
}

// Return takes back permits that never reached who asked for them.
func (d *Desk) Return(ctx context.Context, permits []DrawnPermit) error {
	seen, err := d.advance(ctx)
	if err != nil {
		return fmt.Errorf("take back %d permits: %w", len(permits), err)
	}
	var records []contacts.Record
	for i := range permits {
		if p, live := d.stillLive(permits[i].Permit); live {
			records = append(records, p.Return(newKey("permit/"+p.ID), d.clock().UTC()))
		}
	}
	if _, err := d.append(ctx, records, seen); err != nil {
		return fmt.Errorf("take back %d permits: %w", len(permits), err)
	}
	return nil // what moved meanwhile expires by itself
}

// stillLive looks at a permit after the ledger was read.
func (d *Desk) stillLive(id string) (permit.Permit, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.book.Find(id)
}

func (d *Desk) live() []permit.Permit {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.book.Live()
}

package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/permit"
)

// Holder is who asks for permits: a pod of one run of a campaign.
type Holder struct {
	Pod string // UID
	// PodName in the campaign's namespace.
	PodName string
	// Campaign with the UID of the Job that the pod belongs to. Its generation is
	// that of when the pod was first seen.
	Campaign contacts.Campaign
	// Job is the name of the Job.
	Job string
	// User that the pod acts as.
	User string
}

// Run that the pod belongs to.
func (h *Holder) Run() contacts.Run { return h.Campaign.Run() }

// Case is what a run's customers are decided on at one moment.
type Case struct {
	permit.Terms
	Audience *v1alpha1.Audience
	Judge    decision.Judge
	// Key names everything that answers depend on besides customers and time.
	Key string
	// PerMinute is how many may be contacted in a minute; 0: any number.
	PerMinute int
	// Refusal says why nobody at all is contacted now; nil: each is asked about.
	Refusal *decision.Reason
	// Ahead are the campaigns that run now and go first where there is room for
	// only one, the first of them first. Nil: there is none.
	Ahead func(context.Context) ([]Rival, error)
	// Began is when the run did. Zero: unknown.
	Began time.Time
}

// Rival is a campaign that goes first. Its Case is of the present run, as far as
// the ledger knows one.
type Rival struct {
	*Case
	// Released is when its latest run was let go.
	Released time.Time
	// Told is what the campaigns behind it may be told of who it is.
	Told string
}

// World says what is true right now.
type World interface {
	// Current returns once everything acknowledged before the call is in what it
	// returns and in Records, or an error: ErrForbidden where the run may not draw
	// at all.
	Current(ctx context.Context, of Holder) (*Case, error)
	// Records are the customers, as far as Current brought them.
	Records() audience.Records
}

// Reserving is the part of a ledger that permits need; see ledger.Store.
type Reserving interface {
	AppendIf(ctx context.Context, records []contacts.Record, seen map[string]uint64) ([]contacts.Result, error)
	After(ctx context.Context, sequence uint64, limit int) (contacts.Page, error)
}

// Attendance says who is still there.
type Attendance interface {
	// Gone says for sure that the pod has ended or does not exist any more.
	Gone(ctx context.Context, pod Holder) (bool, error)
}

// DeskOptions say what a Desk works with; all but Pods and Metrics are required.
type DeskOptions struct {
	Ledger  Reserving
	World   World
	Pods    Attendance // nil: what a pod holds that is gone expires
	Clock   func() time.Time
	Log     logr.Logger
	Metrics prometheus.Registerer
}

// Desk hands out permits. Everything it knows follows from the ledger and the
// world: it decides on what it saw and writes only if nothing newer is there. All
// methods may be called concurrently, and any number of desks may share a ledger.
type Desk struct {
	ledger  Reserving
	world   World
	clock   func() time.Time
	log     logr.Logger
	metrics *deskMetrics
	roll    *roll

	asking  atomic.Uint64 // how often somebody wanted to know what the ledger has
	reading chan struct{} // one token: one reads it; guards the next two
	read    uint64        // up to which of them were served
	failed  uint64        // and up to which it did not answer
	away    away

	mu   sync.Mutex // guards book, and the order of what both are told
	book *permit.Book
	past *contacts.Projection
	// consents is the latest revision that a contact was decided on.
	consents string

	runsMu sync.Mutex
	runs   map[contacts.Run]*queue
}

// queue is who is next in one run. One draw at a time.
type queue struct {
	turn    chan struct{} // one token
	news    chan struct{} // closed and replaced when the ledger has more of the run; guarded by runsMu
	key     string
	line    *permit.Line
	pace    int    // of the latest draw
	records uint64 // marks of the feeds up to which the line is current
	past    uint64
}

// NewDesk makes a desk that knows nothing of the ledger yet.
func NewDesk(o DeskOptions) *Desk {
	return &Desk{
		ledger: o.Ledger, world: o.World, clock: o.Clock, log: o.Log, metrics: newDeskMetrics(o.Metrics), roll: newRoll(o.Pods),
		book: permit.NewBook(), past: contacts.NewProjection(contacts.LookBack), runs: map[contacts.Run]*queue{},
		reading: make(chan struct{}, 1),
	}
}

// advance reads what the ledger has, and says up to where. Records on the disk
// before the call are known after it: who waits for another to read is served by
// the next one that begins to, with all others who wait; and need not find out for
// themselves, one after the other, that it does not answer.
func (d *Desk) advance(ctx context.Context) (uint64, error) {
	mine := d.asking.Add(1)
	select {
	case d.reading <- struct{}{}:
		defer func() { <-d.reading }()
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", errBusy, ctx.Err())
	}
	switch {
	case d.read >= mine:
		return d.past.Position().Sequence, nil
	case d.failed >= mine:
		return 0, contacts.ErrUnavailable
	}
	all := d.asking.Load()
	for {
		at := d.past.Position().Sequence
		page, err := d.ledger.After(ctx, at, contacts.MaxBatch)
		heard(&d.away.ledger, err, contacts.ErrUnavailable)
		if errors.Is(err, contacts.ErrUnavailable) {
			d.failed = d.asking.Load()
		}
		if err != nil {
			return at, err
		}
		if len(page.Records) > 0 {
			if err := d.apply(page); err != nil {
				return at, err
			}
			at = page.Records[len(page.Records)-1].Sequence
		}
		if at >= page.Sequence {
			d.read = all
			return at, nil
		}
	}
}

func (d *Desk) apply(page contacts.Page) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.past.Apply(page)
	if err != nil {
		return err
	}
	d.book.Apply(page.Records)
	for i := range page.Records {
		if r := page.Records[i].ConsentRevision; r != "" && !contacts.Older(r, d.consents) {
			d.consents = r
		}
	}
	d.tell(page.Records)
	return nil
}

// news is closed when more is known of the run than now.
func (d *Desk) news(run contacts.Run) <-chan struct{} {
	q := d.queue(run)
	d.runsMu.Lock()
	defer d.runsMu.Unlock()
	return q.news
}

// tell wakes those who wait for one of the runs. Each is told of what all of its
// pods do: one that learns that nobody is left must not be the only one.
func (d *Desk) tell(records []contacts.Record) {
	d.runsMu.Lock()
	defer d.runsMu.Unlock()
	var last contacts.Run
	for i := range records {
		run := records[i].Campaign.Run()
		if q := d.runs[run]; q != nil && run != last {
			close(q.news)
			q.news = make(chan struct{})
		}
		last = run
	}
}

// append writes what was decided on what was known up to seen, and reads it. The
// answer says which records were not written, because something newer is known
// of the customer.
func (d *Desk) append(ctx context.Context, records []contacts.Record, seen uint64) (moved []bool, err error) {
	moved = make([]bool, 0, len(records))
	var latest uint64
	for batch := range slices.Chunk(records, contacts.MaxBatch) {
		marks := make(map[string]uint64, len(batch))
		for i := range batch {
			marks[batch[i].Principal] = seen
		}
		results, err := d.ledger.AppendIf(ctx, batch, marks)
		heard(&d.away.ledger, err, contacts.ErrUnavailable)
		if err != nil {
			return nil, err
		}
		for i, r := range results {
			moved, latest = append(moved, r.Moved), max(latest, r.Sequence)
			if !r.Moved {
				d.metrics.happened(batch[i].Event)
			}
		}
	}
	if d.known() < latest { // else somebody who wrote with us has read it already
		_, err = d.advance(ctx)
	}
	return moved, err
}

// known is up to where the ledger was read.
func (d *Desk) known() uint64 {
	d.mu.Lock() // which is held while that moves on
	defer d.mu.Unlock()
	return d.past.Position().Sequence
}

// whole says whether ledger and consents have all that happened. A ledger that
// was restored from a backup has not until somebody vouches for it; and what a run
// did that began before, it may never have. Consents of which contacts know a
// later revision are those of a backup, too.
func (d *Desk) whole(ctx context.Context, c *Case, h Holder) error {
	if known := d.consentsKnown(); contacts.Older(c.ConsentRevision, known) {
		now, err := d.current(ctx, h) // others were faster; it brings what they knew
		if err != nil {
			return err
		}
		if *c = *now; contacts.Older(c.ConsentRevision, known) {
			return contacts.ErrWentBack
		}
	}
	if err := d.past.Gap(); err != nil {
		return err
	}
	if at := d.past.Restored(); !c.Began.IsZero() && c.Began.Before(at) {
		return fmt.Errorf("%w: the run began before the ledger was restored, and whom it contacted is not known; delete its Job", ErrForbidden)
	}
	return nil
}

// consentsKnown is the latest revision that a contact was decided on.
func (d *Desk) consentsKnown() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.consents
}

// asked are customers on their way to the policies.
type asked struct {
	ids      []string
	subjects []decision.Subject
}

// subject adds a customer, or says why not: there is none, or outside the
// audience; in the latter case perhaps only until an instant.
func (d *Desk) subject(c *Case, a *asked, id string, now time.Time) (code string, until time.Time) {
	rec, ok := d.world.Records().Get(id)
	if !ok {
		return v1alpha1.CodeNoConsent, time.Time{}
	}
	in, until := rec.Targeted(c.Audience, now)
	if !in {
		return v1alpha1.CodeNotTargeted, until
	}
	past, _ := d.past.View(now, c.Campaign.Run()).Contacts(id)
	a.ids = append(a.ids, id)
	a.subjects = append(a.subjects, rec.Subject(&c.Facts, past))
	return "", time.Time{}
}

// judge asks the policies about all of them at once.
func (d *Desk) judge(ctx context.Context, c *Case, a *asked, now time.Time) ([]decision.Answer, error) {
	if len(a.ids) == 0 {
		return nil, nil
	}
	began := time.Now()
	answers, err := c.Judge.Judge(ctx, decision.Question{Now: now, Campaign: c.Facts, Subjects: a.subjects})
	d.metrics.judged(len(a.ids), time.Since(began))
	if err == nil && len(answers) != len(a.ids) {
		err = fmt.Errorf("judge %d customers: got %d answers", len(a.ids), len(answers))
	}
	return answers, err
}

// now in whole seconds, as policies see it.
func (d *Desk) now() time.Time { return d.clock().UTC().Truncate(time.Second) }

func (d *Desk) standing(run contacts.Run, id string) permit.Standing {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.book.Standing(run, id)
}

func (d *Desk) queue(run contacts.Run) *queue {
	d.runsMu.Lock()
	defer d.runsMu.Unlock()
	q := d.runs[run]
	if q == nil {
		q = &queue{turn: make(chan struct{}, 1), news: make(chan struct{})}
		d.runs[run] = q
	}
	return q
}

// errBusy says that others came first for too long.
var errBusy = errors.New("too many ask at once")

// take waits for the run's turn.
func (q *queue) take(ctx context.Context) (done func(), err error) {
	select {
	case q.turn <- struct{}{}:
		return func() { <-q.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errBusy, ctx.Err())
	}
}

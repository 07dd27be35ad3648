package sender

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// run is one life of a sender.
type run struct {
	options  *Options
	gate     *gate
	sender   *process
	resolver *resolver
	progress *Progress
	pace     *pace

	slots chan struct{} // one taken for each whom the sender works on
	told  chan outcome  // to be reported

	mu       sync.Mutex
	work     map[string]inWork // handed over, without an outcome
	finished bool              // everybody there was has been through our hands
	left     []string          // permits that were not redeemed
}

// inWork is whom the sender works on.
type inWork struct {
	secrets []string // principal and address
	stuck   *time.Timer
}

var (
	errStopped = errors.New("stopped before the campaign was exhausted")
	errEnded   = errors.New("the sender ended before the campaign was exhausted")
	errLost    = errors.New("the gate did not take them in time")
)

// Run hands people over until the campaign is exhausted. When ctx is done it
// stops drawing and gives the sender a grace period. With an error the campaign
// is not done: trying again draws what is left, and nobody twice.
func Run(ctx context.Context, o Options) error {
	if err := o.Check(); err != nil {
		return err
	}
	if o.Progress == nil {
		o.Progress = &Progress{}
	}
	door, err := newGate(&o)
	if err != nil {
		return err
	}
	r := &run{
		options: &o, gate: door, progress: o.Progress, pace: newPace(o.AtOnce),
		slots: make(chan struct{}, o.AtOnce), told: make(chan outcome, maxBatch), work: map[string]inWork{},
	}
	if r.resolver, err = startResolver(&o); err != nil {
		return err
	}
	defer r.resolver.stop()
	if r.sender, err = start("sender", o.Command); err != nil {
		return err
	}
	return r.all(ctx)
}

// all lets people go through: drawn, redeemed and handed over, answered for,
// reported. Each part ends when the one before it has, and the first that fails
// stops the first part.
func (r *run) all(ctx context.Context) error {
	feeding, halt := context.WithCancelCause(ctx)
	defer halt(nil)
	reporting, lose := context.WithCancelCause(context.WithoutCancel(ctx))
	defer lose(nil)
	// What stops everything also bounds the reports, a little beyond the grace
	// that the sender gets for its last outcomes.
	defer context.AfterFunc(feeding, func() { time.AfterFunc(r.options.Grace+lastReports, func() { lose(errLost) }) })()

	drawn := make(chan permitted, maxBatch)
	fed, heard, reported := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(drawn)
		if err := r.draw(feeding, drawn); err != nil {
			halt(err)
		}
	}()
	go func() {
		if err := r.handOver(feeding, reporting, drawn, halt); err != nil {
			halt(err)
		}
		close(fed) // before the sender may end
		r.sender.end()
	}()
	go func() {
		defer close(heard)
		if err := r.listen(); err != nil {
			halt(err)
			r.drainSender()
		}
		select {
		case <-fed:
		default:
			halt(errEnded)
		}
	}()
	go func() { reported <- r.report(reporting, halt) }()

	<-fed
	for p := range drawn { // until nobody draws any more
		r.leave(p.permit)
	}
	released := make(chan struct{})
	go func() {
		defer close(released)
		r.release(reporting)
	}()
	r.letEnd(feeding, heard)
	ended := r.sender.wait(r.options.Grace)
	<-released
	close(r.told)
	cause := context.Cause(feeding)
	if ctx.Err() != nil && errors.Is(cause, context.Cause(ctx)) {
		cause = errStopped
	}
	return r.sum(cause, ended, <-reported)
}

// lastReports is what the gate gets to take the last outcomes in.
const lastReports = 2 * time.Second

// letEnd waits for the sender, which has read its last line, as long as it may
// take for one person, or for the grace period once everything must stop.
func (r *run) letEnd(halted context.Context, heard <-chan struct{}) {
	patience := time.NewTimer(r.options.Patience)
	defer patience.Stop()
	select {
	case <-heard:
		return
	case <-patience.C:
	case <-halted.Done():
		grace := time.NewTimer(r.options.Grace)
		defer grace.Stop()
		select {
		case <-heard:
			return
		case <-grace.C:
		}
	}
	r.sender.kill()
	<-heard
}

// sum says how it went.
func (r *run) sum(cause, ended, reported error) error {
	if errors.Is(cause, errStopped) && r.finished || reported != nil && errors.Is(reported, cause) {
		cause = nil // the rest says it all
	}
	var unknown error
	if n := len(r.work); n > 0 {
		unknown = fmt.Errorf("what became of %s that the sender had in hand is unknown: they are not handed over again", people(n))
	}
	var all error
	for _, part := range []error{cause, ended, unknown, reported} {
		switch {
		case part == nil:
		case all == nil:
			all = part
		default:
			all = fmt.Errorf("%w; %w", all, part)
		}
	}
	return all
}

func people(n int) string {
	if n == 1 {
		return "1 person"
	}
	return fmt.Sprintf("%d people", n)
}

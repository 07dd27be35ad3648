package policy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/codb-dev/codb/internal/decision"
)

// maxLoaded is how many sets of policies a worker keeps compiled.
const maxLoaded = 16

// maxStrikes is how often a rule may get its worker killed before it is not
// asked any more and denies everyone at once.
const maxStrikes = 3

// pardon is after what time it is asked again: the machine may have been at
// fault.
const pardon = 5 * time.Minute

// judge answers questions in the sandbox's workers.
type judge struct {
	sandbox  *Sandbox
	policies []Policy
	digest   string
	planned  bool // by plans, where there are any

	mu      sync.Mutex
	strikes map[int]strike // by use
}

type strike struct {
	times int
	last  time.Time
}

// Digest implements decision.Judge.
func (j *judge) Digest() string { return j.digest }

// loadInto has the worker compile the policies unless it did before.
func (j *judge) loadInto(ctx context.Context, p *process) error {
	key := fmt.Sprint(j.digest, j.planned)
	if p.loaded[key] {
		return nil
	}
	load := &loadRequest{Digest: j.digest, Policies: j.policies, Planned: j.planned, Forget: len(p.loaded) >= maxLoaded}
	if load.Forget {
		clear(p.loaded)
	}
	got, err := p.ask(ctx, 2*j.sandbox.o.CheckTimeout, &request{Load: load})
	if err != nil {
		return fmt.Errorf("compile policies: %w", err)
	}
	if got.Error != "" {
		return fmt.Errorf("compile policies: %s", got.Error)
	}
	p.loaded[key] = true
	return nil
}

// Judge implements decision.Judge.
func (j *judge) Judge(ctx context.Context, q decision.Question) ([]decision.Answer, error) {
	if denied, ok := offClock(&q); ok {
		return denied, nil
	}
	out := make([]decision.Answer, len(q.Subjects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(j.sandbox.o.Workers)
	size := j.sandbox.o.BatchSize
	for lo := 0; lo < len(out); lo += size {
		hi := min(lo+size, len(out))
		group.Go(func() error { return j.batch(ctx, &q, lo, out[lo:hi]) })
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("judge %d customers: %w", len(out), err)
	}
	return out, nil
}

// batch answers for some customers: all at once, and if that gets the worker
// killed, carefully.
func (j *judge) batch(ctx context.Context, q *decision.Question, lo int, out []decision.Answer) error {
	r := judgeRequest{
		Digest: j.digest, Planned: j.planned, Now: q.Now, Campaign: q.Campaign,
		Subjects: q.Subjects[lo : lo+len(out)], Stopped: j.struckOut(),
	}
	if len(r.Stopped) == 0 {
		done, err := j.fast(ctx, &r, out)
		if done || err != nil {
			return err
		}
	}
	return j.careful(ctx, &r, out)
}

// budget is what a batch of n customers may take.
func (j *judge) budget(n int) time.Duration {
	return j.sandbox.o.EvalTimeout + time.Duration(n)*perCustomer
}

// fast asks about all customers at once; done is false where the worker was
// killed for it.
func (j *judge) fast(ctx context.Context, r *judgeRequest, out []decision.Answer) (done bool, err error) {
	err = j.sandbox.with(ctx, j.sandbox.judging, func(ctx context.Context, p *process) error {
		if err := j.loadInto(ctx, p); err != nil {
			return err
		}
		got, err := p.ask(ctx, j.budget(len(out)), &request{Judge: r})
		if exhausted(err) {
			j.sandbox.kills.count(err)
			return nil
		}
		if err != nil {
			return err
		}
		if got.Error != "" || len(got.Answers) != len(out) {
			return fmt.Errorf("%d answers for %d customers: %s", len(got.Answers), len(out), got.Error)
		}
		done = true
		copy(out, got.Answers)
		return nil
	})
	return done, err
}

func exhausted(err error) bool {
	return errors.Is(err, errTime) || errors.Is(err, errMemory) || errors.Is(err, errCrashed)
}

// careful asks use by use. Whenever the worker is killed, it is known over whom
// and over what; that use then denies for that customer, and the work goes on
// behind. It ends, because each kill is a strike.
func (j *judge) careful(ctx context.Context, r *judgeRequest, out []decision.Answer) error {
	for n := 0; n < len(out); {
		ask := *r
		ask.Careful, ask.Subjects, ask.Stopped = true, r.Subjects[n:], j.struckOut()
		c := &careful{judge: j, out: out[n:], next: -1, took: map[int]time.Duration{}}
		err := j.sandbox.with(ctx, j.sandbox.judging, func(ctx context.Context, p *process) error {
			if err := j.loadInto(ctx, p); err != nil {
				return err
			}
			c.since = time.Now()
			return p.converse(ctx, j.budget(len(c.out)), j.sandbox.o.EvalTimeout, &request{Judge: &ask}, c.hear)
		})
		if err == nil && c.answered != len(c.out) {
			return fmt.Errorf("%d answers for %d customers: %s", c.answered, len(c.out), c.failed)
		}
		if err == nil {
			return nil
		}
		if (!exhausted(err) && !errors.Is(err, errHopeless)) || c.next < 0 {
			return err
		}
		j.strike(c.next, errors.Is(err, errHopeless))
		if c.answered > 0 {
			r.StoppedFirst = nil
		}
		r.StoppedFirst = append(r.StoppedFirst, c.next)
		n += c.answered
	}
	return nil
}

// careful is one careful conversation with a worker.
type careful struct {
	judge    *judge
	out      []decision.Answer
	answered int
	next     int // the use that is being asked
	since    time.Time
	took     map[int]time.Duration // by use
	failed   string
}

// errHopeless says that a use takes too long for everyone, if not for one.
var errHopeless = errors.New("a rule takes too long for each customer")

func (c *careful) hear(got *response) error {
	now := time.Now()
	if c.next >= 0 {
		if c.took[c.next] += now.Sub(c.since); c.took[c.next] > c.judge.budget(len(c.out)) {
			return errHopeless
		}
	}
	c.since = now
	c.failed = got.Error
	if got.Next != nil {
		c.next = *got.Next
	}
	if len(got.Answers) == 1 && c.answered < len(c.out) {
		c.out[c.answered] = got.Answers[0]
		c.answered++
		c.next = -1
	}
	return nil
}

// strike notes that a use got its worker killed; out: it need not be asked
// again.
func (j *judge) strike(use int, out bool) {
	j.mu.Lock()
	s := j.strikes[use]
	s.times, s.last = s.times+1, time.Now()
	if out {
		s.times = maxStrikes
	}
	j.strikes[use] = s
	j.mu.Unlock()
	if s.times < maxStrikes || j.sandbox.struck == nil {
		return
	}
	if p, rule := useAt(j.policies, use); p != nil {
		j.sandbox.struck(*p, rule)
	}
}

// useAt is the policy and the rule of a use, which are numbered in their order.
func useAt(ps []Policy, use int) (p *Policy, rule string) {
	for i := range ps {
		p = &ps[i]
		switch {
		case use < len(p.Rules):
			return p, p.Rules[use].Name
		case use == len(p.Rules) && p.Rego != "":
			return p, OwnRule
		}
		use -= len(p.Rules)
		if p.Rego != "" {
			use--
		}
	}
	return nil, ""
}

// struckOut are the uses that are not asked for the time being.
func (j *judge) struckOut() []int {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []int
	for use, s := range j.strikes {
		if time.Since(s.last) > pardon {
			delete(j.strikes, use)
		} else if s.times >= maxStrikes {
			out = append(out, use)
		}
	}
	return out
}

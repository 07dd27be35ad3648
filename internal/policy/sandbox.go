package policy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/codb-dev/codb/internal/decision"
)

// Options of a sandbox; what is zero takes its default.
type Options struct {
	// Command runs WorkerMain. Default: this very program with policy-worker.
	Command []string
	// Workers evaluate at once; one more checks policies. Default: GOMAXPROCS.
	Workers int
	// BatchSize is how many customers a worker is asked about at once. Default:
	// 256.
	BatchSize int
	// EvalTimeout is what one rule may take for one customer. Default: 1s.
	EvalTimeout time.Duration
	// CheckTimeout is what compiling and all test cases may take. Default: 5s.
	CheckTimeout time.Duration
	// MemoryBytes is what a worker may hold. Default: 512 MiB.
	MemoryBytes int64
	// Metrics takes the sandbox's metrics. Nil: none.
	Metrics prometheus.Registerer
}

// perCustomer is what a customer adds to the time of a batch: twenty times what
// the whole library needs on a slow core.
const perCustomer = 20 * time.Millisecond

func (o *Options) complete() error {
	if len(o.Command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find own program for policy workers: %w", err)
		}
		o.Command = []string{self, "policy-worker"}
	}
	o.Workers = positive(o.Workers, runtime.GOMAXPROCS(0))
	o.BatchSize = positive(o.BatchSize, 256)
	o.EvalTimeout = positive(o.EvalTimeout, time.Second)
	o.CheckTimeout = positive(o.CheckTimeout, 5*time.Second)
	o.MemoryBytes = positive(o.MemoryBytes, 512<<20)
	return nil
}

func positive[T int | int64 | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Sandbox runs policies in worker processes that are killed when they exceed
// their time or memory. Workers start when they are first needed. It is safe for
// use by several goroutines.
type Sandbox struct {
	lib    *Library
	o      Options
	broken error // why no worker can start
	kills  *kills
	native *nativeMetrics
	// struck hears of rules that got their workers killed time and again. Nil:
	// nobody does.
	struck func(p Policy, rule string)
	// differed hears of rules for which OPA answers otherwise than the native
	// engine. Nil: nobody does.
	differed func(policy, rule string)
	certain  certainty

	judging  pool
	checking pool // apart, so that a policy on trial delays no campaign
	closed   chan struct{}
	close    sync.Once
}

// pool holds workers that are idle; nil is one that is not started.
type pool chan *process

func newPool(n int) pool {
	p := make(pool, n)
	for range n {
		p <- nil
	}
	return p
}

// NewSandbox makes a sandbox. Close ends its workers.
func NewSandbox(lib *Library, o Options) *Sandbox {
	s := &Sandbox{lib: lib, closed: make(chan struct{}), kills: newKills(o.Metrics), native: newNativeMetrics(o.Metrics)}
	s.broken = o.complete()
	s.o = o
	s.judging, s.checking = newPool(o.Workers), newPool(1)
	return s
}

var errClosed = errors.New("the policy sandbox is closed")

// with has f talk to a worker of the pool.
func (s *Sandbox) with(ctx context.Context, from pool, f func(ctx context.Context, p *process) error) error {
	if s.broken != nil {
		return s.broken
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var p *process
	select {
	case <-s.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	case p = <-from:
	}
	defer func() {
		if p != nil && p.dead {
			p = nil
		}
		from <- p
	}()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-s.closed:
			cancel(errClosed)
		case <-over:
		}
	}()
	if p == nil {
		var err error
		if p, err = startProcess(ctx, &s.o, s.lib); err != nil {
			p = nil
			return err
		}
	}
	err := f(ctx, p)
	s.kills.count(err)
	return err
}

// Close ends the workers, also those that are at work, and waits for them.
func (s *Sandbox) Close() error {
	s.close.Do(func() {
		close(s.closed)
		for _, from := range []pool{s.judging, s.checking} {
			for range cap(from) {
				if p := <-from; p != nil {
					p.end()
				}
			}
		}
	})
	return nil
}

// Check looks at a policy: Lint, and if that finds nothing, the policy is
// compiled and its test cases run in a worker. The error says that it could not
// be asked; a worker that had to be killed is a problem of the policy.
func (s *Sandbox) Check(ctx context.Context, p Policy) (Report, error) {
	if problems := s.lib.lint(&p); len(problems) > 0 {
		return Report{Problems: problems, Total: len(p.Tests)}, nil
	}
	return s.check(ctx, p)
}

// check is Check without Lint.
func (s *Sandbox) check(ctx context.Context, p Policy) (Report, error) {
	var got *response
	ask := func(ctx context.Context, w *process) error {
		var err error
		got, err = w.ask(ctx, s.o.CheckTimeout, &request{Check: &p})
		return err
	}
	err := s.with(ctx, s.checking, ask)
	if errors.Is(err, errCrashed) { // perhaps not this policy's fault
		err = s.with(ctx, s.checking, ask)
	}
	switch {
	case errors.Is(err, errTime), errors.Is(err, errMemory), errors.Is(err, errCrashed):
		return Report{Total: len(p.Tests), Problems: []Problem{s.exhaustive(&p, err)}}, nil
	case err != nil:
		return Report{}, fmt.Errorf("check policy %s: %w", p.Name, err)
	case got.Report == nil:
		return Report{}, fmt.Errorf("check policy %s: no report: %s", p.Name, got.Error)
	}
	return *got.Report, nil
}

// exhaustive is the problem of a policy whose worker had to be killed.
func (s *Sandbox) exhaustive(p *Policy, why error) Problem {
	prob := Problem{
		Field: "spec.rego", File: ownFile, Code: ProblemExhaustive,
		Message: "compiling the policy and running its cases was stopped: " + why.Error(),
		Remedy: fmt.Sprintf("simplify it: it has %s and %d MiB for everything; look at loops over numbers.range, nested comprehensions and long text",
			s.o.CheckTimeout, s.o.MemoryBytes>>20),
	}
	if p.Rego == "" {
		prob.Field, prob.File = "spec.rules", ""
	}
	return prob
}

// Load has policies compiled and returns who judges by them. The built-in floor
// is not added: pass Library.Floor first. Policies that Check refuses make an
// error.
func (s *Sandbox) Load(ctx context.Context, ps []Policy) (decision.Judge, error) {
	return s.load(ctx, ps, false)
}

// LoadPlanned is Load for one who checks the answers: workers evaluate plans
// where OPA can make them.
func (s *Sandbox) LoadPlanned(ctx context.Context, ps []Policy) (decision.Judge, error) {
	return s.load(ctx, ps, true)
}

func (s *Sandbox) load(ctx context.Context, ps []Policy, planned bool) (decision.Judge, error) {
	j := s.judgeOf(ps, planned)
	if err := s.with(ctx, s.judging, j.loadInto); err != nil {
		return nil, fmt.Errorf("load policies: %w", err)
	}
	return j, nil
}

// judgeOf is a judge that no worker has loaded yet.
func (s *Sandbox) judgeOf(ps []Policy, planned bool) *judge {
	ps = slices.Clone(ps)
	for i := range ps {
		ps[i].Tests = nil
	}
	return &judge{sandbox: s, policies: ps, digest: s.lib.DigestAll(ps), planned: planned, strikes: map[int]strike{}}
}

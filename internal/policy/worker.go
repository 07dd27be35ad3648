package policy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/codb-dev/codb/internal/decision"
)

// exitMemory is how a worker ends that exceeds its memory.
const exitMemory = 86

// WorkerMain is what `codb policy-worker` runs: it compiles and evaluates
// policies for the process at the other end of stdin and stdout, and returns its
// exit code when that process is gone or the memory budget is exceeded. The
// caller must exit at once: an evaluation may still be going on.
func WorkerMain(lib *Library, stdin io.Reader, stdout io.Writer) int {
	w := &worker{lib: lib, out: stdout, sets: map[string]*Interpreter{}, plans: map[string]*planned{}}
	requests, gone := make(chan request), make(chan struct{})
	go func() {
		_ = read(bufio.NewReaderSize(stdin, 1<<16), requests) // however it ends, the caller is gone
		close(gone)
	}()

	first, ok := <-requests
	if !ok || first.Start == nil {
		return 2
	}
	exceeded, err := w.start(first.Start)
	if err != nil {
		_ = writeFrame(stdout, response{Error: err.Error()}) // the caller may be gone
		return 2
	}
	if writeFrame(stdout, response{}) != nil {
		return 2
	}
	done := make(chan struct{})
	go func() {
		for r := range requests {
			if w.serve(&r) != nil { // nobody hears answers any more
				close(done)
				return
			}
		}
	}()
	select {
	case <-exceeded:
		return exitMemory
	case <-gone: // also while an evaluation goes on
		return 0
	case <-done:
		return 2
	}
}

func read(r io.Reader, to chan<- request) error {
	defer close(to)
	for {
		var req request
		if err := readFrame(r, &req); err != nil {
			return err
		}
		to <- req
	}
}

// worker is the inside of a worker process.
type worker struct {
	out   io.Writer
	lib   *Library
	sets  map[string]*Interpreter
	plans map[string]*planned
}

func (w *worker) start(s *startRequest) (exceeded <-chan struct{}, err error) {
	if s.Library != w.lib.digest() {
		return nil, errors.New("the worker's program is not its caller's: their policy libraries differ")
	}
	confine(s.MemoryBytes)
	debug.SetMemoryLimit(s.MemoryBytes / 4 * 3)
	debug.SetGCPercent(400) // evaluation makes short-lived garbage; the limit above still holds
	return watchMemory(s.MemoryBytes), nil
}

// watchMemory tells when the process holds more than limit. It looks every few
// milliseconds; what grows faster meets the kernel's limit (see confine).
func watchMemory(limit int64) <-chan struct{} {
	exceeded := make(chan struct{})
	go func() {
		held := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		for tick := time.NewTicker(2 * time.Millisecond); ; <-tick.C {
			metrics.Read(held)
			if int64(held[0].Value.Uint64()-held[1].Value.Uint64()) > limit {
				close(exceeded)
				return
			}
		}
	}()
	return exceeded
}

// serve answers one request; the error says that nobody listens any more.
func (w *worker) serve(r *request) error {
	ctx := context.Background()
	switch {
	case r.Check != nil:
		report := w.lib.check(ctx, r.Check)
		return writeFrame(w.out, response{Report: &report})
	case r.Load != nil:
		return writeFrame(w.out, w.load(ctx, r.Load))
	case r.Judge != nil:
		return w.judge(ctx, r.Judge)
	case r.Eval != nil:
		return writeFrame(w.out, w.eval(r.Eval))
	}
	return writeFrame(w.out, response{Error: "the request is empty"})
}

func (w *worker) load(ctx context.Context, r *loadRequest) response {
	if r.Forget {
		clear(w.sets)
		clear(w.plans)
	}
	i, err := NewInterpreter(w.lib, r.Policies)
	if err != nil {
		return response{Error: err.Error()}
	}
	if i.Digest() != r.Digest {
		return response{Error: fmt.Sprintf("the worker's program differs from its caller's: digest %s is not %s", i.Digest(), r.Digest)}
	}
	w.sets[r.Digest] = i
	if r.Planned {
		if p, err := newPlanned(ctx, i); err == nil { // else the interpreter answers
			w.plans[r.Digest] = p
		}
	}
	return response{Uses: len(i.uses)}
}

func (w *worker) judge(ctx context.Context, r *judgeRequest) error {
	i := w.sets[r.Digest]
	if i == nil {
		return writeFrame(w.out, response{Error: "the policies are not loaded"})
	}
	q := decision.Question{Now: r.Now, Campaign: r.Campaign, Subjects: r.Subjects}
	if !r.Careful {
		answers, err := w.fastest(i, r).Judge(ctx, q)
		if err != nil {
			return writeFrame(w.out, response{Error: err.Error()})
		}
		return writeFrame(w.out, response{Answers: answers})
	}
	asked := newAsked(&q)
	for n := range q.Subjects {
		stopped := r.Stopped
		if n == 0 {
			stopped = append(stopped[:len(stopped):len(stopped)], r.StoppedFirst...)
		}
		a, err := i.careful(ctx, asked, &q.Subjects[n], stopped, func(use int) error {
			return writeFrame(w.out, response{More: true, Next: &use})
		})
		if err == nil {
			err = writeFrame(w.out, response{More: true, Answers: []decision.Answer{a}})
		}
		if err != nil {
			return err
		}
	}
	return writeFrame(w.out, response{})
}

// fastest is who answers a request that need not be careful.
func (w *worker) fastest(i *Interpreter, r *judgeRequest) decision.Judge {
	if p := w.plans[r.Digest]; p != nil && r.Planned {
		return p
	}
	return i
}

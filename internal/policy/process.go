package policy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Why a worker was stopped, or stopped.
var (
	errTime    = errors.New("it exceeded its time")
	errMemory  = errors.New("it exceeded its memory")
	errCrashed = errors.New("its worker crashed")
)

// process is a worker process. One goroutine at a time may ask it; Kill may be
// called by any.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr *tail
	loaded map[string]bool // digests of what it has compiled
	dead   bool
}

// startTime is how long a worker may take to come up on a busy machine.
const startTime = 30 * time.Second

// startProcess brings a worker up with its budget. It gets no
// environment but the zone UTC, and a process group of its own, so that a Ctrl-C
// at a terminal stops codb and not its workers. It ends when its stdin does: with
// codb, however that ends.
func startProcess(ctx context.Context, o *Options, lib *Library) (*process, error) {
	cmd := exec.Command(o.Command[0], o.Command[1:]...)
	cmd.Env = []string{"TZ=UTC"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := &process{cmd: cmd, stderr: &tail{}, loaded: map[string]bool{}}
	cmd.Stderr = p.stderr
	var err error
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start policy worker: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start policy worker: %w", err)
	}
	p.out = bufio.NewReaderSize(out, 1<<16)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start policy worker: %w", err)
	}
	start := request{Start: &startRequest{Library: lib.digest(), MemoryBytes: o.MemoryBytes}}
	got, err := p.ask(ctx, startTime, &start)
	if err == nil && got.Error != "" {
		p.end()
		err = errors.New(got.Error)
	}
	if err != nil {
		return nil, fmt.Errorf("start policy worker: %w", err)
	}
	return p, nil
}

// ask sends a request and waits for its only response.
func (p *process) ask(ctx context.Context, patience time.Duration, r *request) (*response, error) {
	var last *response
	err := p.converse(ctx, patience, patience, r, func(got *response) error { last = got; return nil })
	return last, err
}

// converse sends a request and hands each response to hear, until the last one.
// The worker is killed when it computes longer than first for the first response
// or longer than patience for a later one, when ctx ends, or when hear returns an
// error, which is then returned.
func (p *process) converse(ctx context.Context, first, patience time.Duration, r *request, hear func(*response) error) error {
	allowed := newBudget(p.cmd.Process.Pid, first, p.kill)
	away := context.AfterFunc(ctx, p.kill)
	defer func() {
		// Killed on the very last stretch: it must not be asked again.
		if inTime := allowed.end(); !inTime || !away() {
			p.end()
		}
	}()

	// Written beside reading: a worker that speaks before it has read all must
	// not wait for us as we wait for it.
	sent := make(chan error, 1)
	go func() { sent <- writeFrame(p.in, r) }()
	for {
		var got response
		err := readFrame(p.out, &got)
		if err == nil {
			allowed.renew(patience)
			if err = hear(&got); err != nil {
				p.end()
				<-sent //nolint:errcheck // cut off by the end
				return err
			}
			if !got.More {
				return <-sent
			}
			continue
		}
		p.end()
		<-sent //nolint:errcheck // cut off by the end
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !allowed.end():
			return errTime
		default:
			return p.cause(err)
		}
	}
}

// cause says why a worker ended that nobody killed.
func (p *process) cause(err error) error {
	said := p.stderr.Bytes()
	for _, words := range []string{"out of memory", "cannot allocate memory", "failed to allocate"} {
		if bytes.Contains(said, []byte(words)) { // the kernel's limit, in the words of Go's runtime and of its race detector
			return errMemory
		}
	}
	if p.cmd.ProcessState.ExitCode() == exitMemory {
		return errMemory
	}
	line, _, _ := bytes.Cut(bytes.TrimSpace(said), []byte("\n"))
	return fmt.Errorf("%w: %s, %w: %s", errCrashed, p.cmd.ProcessState, err, oneLine(string(line)))
}

func (p *process) kill() { _ = p.cmd.Process.Kill() } // it is gone, or will be

// end kills the worker and waits until it is gone.
func (p *process) end() {
	if p.dead {
		return
	}
	p.dead = true
	p.kill()
	_ = p.in.Close()
	_ = p.cmd.Wait() // how it ended is in ProcessState
}

// tail keeps the beginning of what a worker writes to stderr.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const most = 4 << 10
	t.text = append(t.text, b[:min(len(b), most-len(t.text))]...)
	return len(b), nil
}

// Bytes is what was kept.
func (t *tail) Bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.text)
}

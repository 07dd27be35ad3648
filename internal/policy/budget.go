package policy

import (
	"sync"
	"time"
)

// budget is over when a process has computed for longer than it may. What others
// had of the processor meanwhile does not count: a good policy must not be
// refused because the machine is busy. It is over all the same when slack times
// as long has gone by.
type budget struct {
	pid  int
	over func()

	mu       sync.Mutex
	timer    *time.Timer
	patience time.Duration
	began    time.Time
	used     time.Duration // of the processor, when it began
	late     bool
	ended    bool
}

const slack = 10

// newBudget begins at once; over is called once at most.
func newBudget(pid int, patience time.Duration, over func()) *budget {
	b := &budget{pid: pid, over: over}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer = time.AfterFunc(patience, b.look)
	b.begin(patience)
	return b
}

func (b *budget) begin(patience time.Duration) {
	b.patience, b.began = patience, time.Now()
	b.used, _ = processorOf(b.pid)
}

// renew begins anew.
func (b *budget) renew(patience time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	b.begin(patience)
	b.timer.Reset(patience)
}

func (b *budget) look() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	if left := b.left(); left > 0 {
		b.timer.Reset(left)
		return
	}
	b.late, b.ended = true, true
	b.over()
}

func (b *budget) left() time.Duration {
	used, known := processorOf(b.pid)
	if !known {
		return b.patience - time.Since(b.began)
	}
	return min(b.patience-(used-b.used), slack*b.patience-time.Since(b.began))
}

// end says whether it was in time.
func (b *budget) end() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.timer.Stop()
	return !b.late
}

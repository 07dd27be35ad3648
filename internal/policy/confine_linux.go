package policy

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// confine has the kernel hold the worker's budget too: a single allocation can
// outrun the watch. The slack is for what Go maps without using it. When the
// machine itself runs out of memory, the worker is the one to go.
func confine(memory int64) {
	const slack = 512 << 20
	limit := syscall.Rlimit{Cur: uint64(memory + slack), Max: uint64(memory + slack)}
	// Where the kernel refuses, the watch alone holds the budget.
	_ = syscall.Setrlimit(syscall.RLIMIT_DATA, &limit)
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
}

// processorOf is what a process has had of the processors, all of its threads
// together. A process's clock is named by its id, as clock_getcpuclockid(3) does.
func processorOf(pid int) (used time.Duration, known bool) {
	const ofAll = 2 // CPUCLOCK_SCHED
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|ofAll), &t); err != nil {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}

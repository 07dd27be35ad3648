package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// contender is one row of a table: what it is, and how to have it decide.
type contender struct {
	name    string
	cores   int
	prepare func() error // not timed; nil: nothing
	run     func() (decisions int, err error)

	took []float64 // by round: nanoseconds a decision
}

// race has all of them run by turns, so that what else the machine does meets all
// of them alike. One core is measured in processor time, which neighbours disturb
// least; several in time that passes.
func race(rounds int, of []*contender) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for round := range rounds {
		for _, c := range of {
			if c.prepare != nil {
				if err := c.prepare(); err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
			}
			runtime.GOMAXPROCS(c.cores)
			runtime.GC() // what the one before left is not this one's to collect
			began, cpu := time.Now(), processorTime()
			n, err := c.run()
			passed, cpu := time.Since(began), processorTime()-cpu
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if c.cores == 1 {
				passed = cpu
			}
			c.took = append(c.took, float64(passed)/float64(n))
		}
		fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, rounds, of[len(of)-1].name)
	}
	return nil
}

// median of the rounds.
func (c *contender) median() float64 {
	took := slices.Sorted(slices.Values(c.took))
	return (took[(len(took)-1)/2] + took[len(took)/2]) / 2
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

package crash

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/test/fleet"
)

// Codb, the apiserver and etcd are killed at random moments while campaigns
// come and customers withdraw and come back. All the time: whatever runs has a
// decision that allowed everybody, and no Job is let go twice. In the end: what
// is allowed ran, what was withdrawn has stopped, and no Job is lost or double.
func TestKilledAtRandomMoments(t *testing.T) {
	fresh(t)
	jobs, flips, kills := scale(60, 1000), scale(10, 100), scale(10, 40)
	w := fleet.New(t, env.Config, env.Scheme, acme(t), v1alpha1.JobTemplate{Image: "sender", Command: []string{"/sender"}}, jobs/10)
	c := newCodb(t)
	api, etcd := controlPlane(t, "kube-apiserver"), controlPlane(t, "etcd")
	ctx, stop := context.WithCancel(t.Context())
	watching := sync.WaitGroup{}
	watching.Go(func() { w.Watch(ctx) })
	defer watching.Wait()
	defer stop()

	began := time.Now()
	working := sync.WaitGroup{}
	working.Go(func() {
		for i := range jobs {
			w.Submit(i)
		}
	})
	working.Go(func() { w.Flip(ctx, flips, 600*time.Millisecond) })
	finished := make(chan struct{})
	go func() { working.Wait(); close(finished) }()
	for n, busy := 0, true; (busy || n < kills) && !t.Failed(); n++ {
		fleet.Pause(ctx, 6*time.Second)
		switch {
		case n%8 == 4:
			api.again()
			w.Answers()
		case n%8 == 7:
			etcd.again()
			w.Answers()
		default:
			c.again()
		}
		c.revive()
		select {
		case <-finished:
			busy = false
		default:
		}
	}
	w.Rest(jobs, time.Minute, c.revive)
	t.Logf("%d Jobs, %d flips, codb killed %d times, the apiserver and etcd %d times, in %s: %d let go, %d wrong",
		jobs, flips, c.kills, kills/4, time.Since(began).Round(time.Second), w.Released(), w.Wrong())
	if t.Failed() {
		t.Log(c.log())
	}
}

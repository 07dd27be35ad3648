package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/permit"
	"github.com/codb-dev/codb/test/pods"
)

// refusals measures how long after somebody said no a sender is refused who
// holds a permit for them: from the request that says so, and from its
// acknowledgement on. All campaigns draw permits and run, and some senders are
// at work meanwhile.
func (b *bench) refusals(ctx context.Context, cfg *rest.Config) error {
	all, err := b.running(ctx, cfg)
	if err != nil {
		return err
	}
	for _, p := range all {
		defer p.Close()
	}
	busy := len(all) / 2
	working, stop := context.WithCancel(ctx)
	others := make(chan int, 1)
	go func() { others <- b.others(working, all[busy:]) }()
	var said, acknowledged []time.Duration
	late := 0
	for t := range b.trials {
		pod := all[t%busy]
		d, err := pod.Draw(ctx, 1, "20s")
		if err != nil || len(d.Permits) == 0 {
			stop()
			return fmt.Errorf("trial %d: draw: %+v: %w", t, d, err)
		}
		began := time.Now()
		if err := b.consents.optOut(ctx, d.Permits[0].Principal, true); err != nil {
			stop()
			return err
		}
		heard := time.Now()
		answer, err := pod.Redeem(ctx, d.Permits[0].Permit)
		if err != nil {
			stop()
			return fmt.Errorf("trial %d: redeem: %w", t, err)
		}
		if answer[0].State == permit.Redeemed {
			late++
		}
		said, acknowledged = append(said, time.Since(began)), append(acknowledged, time.Since(heard))
	}
	stop()
	fmt.Printf("%d other messages meanwhile; messages after an acknowledged withdrawal: %d of %d\n", <-others, late, b.trials)
	what := fmt.Sprintf("%d customers, %d campaigns that draw permits", b.customers, b.campaigns)
	report(what+": opt-out sent -> refused", said)
	report(what+": opt-out acknowledged -> refused", acknowledged)
	if late > 0 {
		return errors.New("somebody was contacted after a withdrawal was acknowledged")
	}
	return nil
}

// running makes the campaigns and waits until each has a pod.
func (b *bench) running(ctx context.Context, cfg *rest.Config) ([]*pods.Pod, error) {
	start := time.Now()
	for i := range b.campaigns {
		c := b.group(i)
		c.Spec.Recipients = v1alpha1.RecipientsPermits
		if err := b.ensure(ctx, c); err != nil {
			return nil, err
		}
	}
	all := make([]*pods.Pod, b.campaigns)
	for i := range all {
		if err := b.until(ctx, groupName(i), runs); err != nil {
			return nil, err
		}
		err := poll(ctx, time.Minute, 5*time.Millisecond, func() (bool, error) {
			var err error
			all[i], err = pods.Of(ctx, b, cfg, namespace, groupName(i))
			return err == nil, nil // there is none yet
		})
		if err != nil {
			return nil, err
		}
	}
	fmt.Printf("%d campaigns run %s later\n", b.campaigns, time.Since(start).Round(100*time.Millisecond))
	return all, nil
}

// senders are at work while refusals are measured, each with some people at a
// time.
const senders, atATime = 4, 10

// others contact people of all these campaigns until ctx ends, and says how
// many.
func (b *bench) others(ctx context.Context, all []*pods.Pod) int {
	var (
		group errgroup.Group
		mu    sync.Mutex
		sent  int
	)
	for s := range senders {
		group.Go(func() error {
			for i := s; ctx.Err() == nil; i += senders {
				n, err := contact(ctx, all[i%len(all)])
				if err != nil && ctx.Err() == nil {
					fmt.Println("a sender:", err)
				}
				mu.Lock()
				sent += n
				mu.Unlock()
			}
			return nil
		})
	}
	_ = group.Wait() // they return none
	return sent
}

func contact(ctx context.Context, p *pods.Pod) (sent int, err error) {
	d, err := p.Draw(ctx, atATime, "0s")
	if err != nil || len(d.Permits) == 0 {
		return 0, err
	}
	var ids []string
	for i := range d.Permits {
		ids = append(ids, d.Permits[i].Permit)
	}
	answers, err := p.Redeem(ctx, ids...)
	if err != nil {
		return 0, err
	}
	var outcomes []gate.Outcome
	for _, a := range answers {
		if a.State == permit.Redeemed {
			outcomes = append(outcomes, gate.Outcome{Permit: a.Permit, Outcome: "Sent"})
		}
	}
	if len(outcomes) > 0 {
		_, err = p.Report(ctx, outcomes...)
	}
	return len(outcomes), err
}

package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/permit"
)

// What one customer sees is one variable: whether they said no. Withdrawing
// writes it, redeeming a permit reads it; a history is right when every read
// could have been at one instant between question and answer.
type said struct {
	no bool // withdraw: what is written; redeem: nothing
	of string
}

var oneWord = porcupine.Model{
	Init: func() any { return false },
	Step: func(state, input, output any) (bool, any) {
		if input.(said).of == "customer" {
			return true, input.(said).no
		}
		return output.(bool) == state.(bool), state // a refusal says that they said no
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %v", input, output) },
}

// Customers withdraw at random moments while senders redeem. No order of
// events but one in which a withdrawal holds from its acknowledgement on may
// explain what both were told.
func TestWithdrawalsAreLinearizable(t *testing.T) {
	w := newWorld(t)
	races(w, func(n int) *v1alpha1.CustomerConsent { return w.customer(n) }, func(c *v1alpha1.CustomerConsent) error {
		before := c.DeepCopy()
		c.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.NewTime(time.Now().Add(-time.Minute).Truncate(time.Second))}
		return env.Client.Patch(w.ctx, c, client.MergeFrom(before))
	})
}

// races has customers say yes, and half of them withdraw while senders redeem.
func races(w *world, says func(n int) *v1alpha1.CustomerConsent, withdraw func(*v1alpha1.CustomerConsent) error) {
	t := w.T
	const people, campaigns = 24, 3
	var customers []*v1alpha1.CustomerConsent
	for i := range people {
		customers = append(customers, says(i))
	}
	type held struct {
		pod     *pod
		permits map[string]string
	}
	var senders []held
	for i := range campaigns {
		name := fmt.Sprintf("run-%d", i)
		w.becomes(w.campaign(name, draws), v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
		p := w.podOf(name)
		drawn, _ := p.draw(people, "20s")
		if len(drawn) != people {
			t.Fatalf("drawn: %d of %d", len(drawn), people)
		}
		senders = append(senders, held{p, drawn})
	}

	began := time.Now()
	now := func() int64 { return time.Since(began).Nanoseconds() }
	var (
		mu        sync.Mutex
		histories = make([][]porcupine.Operation, people)
		wg        sync.WaitGroup
		refused   int
	)
	note := func(person int, op porcupine.Operation) {
		mu.Lock()
		defer mu.Unlock()
		histories[person] = append(histories[person], op)
	}
	wg.Go(func() {
		for _, i := range rand.Perm(people)[:people/2] {
			call := now()
			if err := withdraw(customers[i].DeepCopy()); err != nil {
				t.Error(err)
				return
			}
			note(i, porcupine.Operation{ClientId: campaigns, Input: said{no: true, of: "customer"}, Output: true, Call: call, Return: now()})
		}
	})
	for n, s := range senders {
		wg.Go(func() {
			for _, i := range rand.Perm(people) {
				id := s.permits[customers[i].Name]
				var answer struct{ Results []gate.Redeemed }
				call := now()
				status, problem, err := s.pod.ask("redeem", map[string]any{"permits": []string{id}}, &answer)
				if err != nil || status != http.StatusOK {
					t.Errorf("redeem: %d %v, %v", status, problem, err)
					return
				}
				no := answer.Results[0].State != permit.Redeemed
				note(i, porcupine.Operation{ClientId: n, Input: said{of: "sender"}, Output: no, Call: call, Return: now()})
				mu.Lock()
				if no {
					refused++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for i, h := range histories {
		if !porcupine.CheckOperations(oneWord, h) {
			t.Errorf("customer %d: no order explains %+v", i, h)
		}
	}
	if refused == 0 || refused == people*campaigns {
		t.Errorf("%d of %d were refused: nothing raced", refused, people*campaigns)
	}
}

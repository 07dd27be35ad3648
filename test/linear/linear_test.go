// Package linear checks histories of withdrawals and redemptions: was there one
// order of events that explains what everybody was told? It holds no code of
// codb.
package linear

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/permit"
	"github.com/codb-dev/codb/test/apiserver"
)

var env *apiserver.Env

func TestMain(m *testing.M) {
	os.Exit(apiserver.Run(m, apiserver.Options{Admission: true}, func(e *apiserver.Env) { env = e }))
}

// What one customer sees is one variable: whether they said no. Withdrawing
// writes it, redeeming a permit reads it; a history is right when every answer
// could have been given at one instant between question and answer.
type said struct {
	customer bool // withdraws; else a sender redeems
	name     string
}

var oneWord = porcupine.Model{
	Init: func() any { return false },
	Step: func(state, input, output any) (bool, any) {
		if input.(said).customer {
			return true, true
		}
		return output.(bool) == state.(bool), state // a refusal says that they said no
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %v", input, output) },
}

const (
	people = 12
	// senders race the customers; one more redeems as soon as a customer heard
	// that it is so.
	senders = 2
)

// Customers withdraw while senders redeem, on every pair of stores, with news
// that come late. Where a withdrawal is proven to be known, or asked for in the
// transaction, it holds from its acknowledgement on; where neither is, the same
// histories say so.
func TestWithdrawalsAreLinearizable(t *testing.T) {
	for name, tc := range map[string]struct {
		consents         func(*testing.T) *answers
		ledger           func(*testing.T, *answers) []gate.Reserving // one for each gate
		unfenced, broken bool
	}{
		"CustomResourcesAndFile":           {consents: resources, ledger: file},
		"CustomResourcesAndPostgreSQL":     {consents: resources, ledger: database},
		"PostgreSQLAndFile":                {consents: table, ledger: file},
		"PostgreSQLAndPostgreSQL":          {consents: table, ledger: joined},
		"PostgreSQLByTheTransactionAlone":  {consents: table, ledger: joined, unfenced: true},
		"CustomResourcesWithoutTheFence":   {consents: resources, ledger: file, unfenced: true, broken: true},
		"AsThatWithALedgerInPostgreSQL":    {consents: resources, ledger: database, unfenced: true, broken: true},
		"PostgreSQLWithoutFenceAndRequire": {consents: table, ledger: database, unfenced: true, broken: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := tc.consents(t)
			h := newHistory(t, a, tc.ledger(t, a), !tc.unfenced)
			h.draw()
			a.lag(tc.broken)
			h.race()
			a.lag(false)
			h.check(tc.broken)
		})
	}
}

type history struct {
	*testing.T
	answers *answers
	desks   []*gate.Desk
	permits []map[string]string // by sender: customer to permit
	began   time.Time

	mu  sync.Mutex
	ops map[string][]porcupine.Operation // by customer
}

func newHistory(t *testing.T, a *answers, ledgers []gate.Reserving, fenced bool) *history {
	h := &history{T: t, answers: a, ops: map[string][]porcupine.Operation{}, began: time.Now()}
	for _, l := range ledgers {
		h.desks = append(h.desks, desk(l, &world{a, fenced}))
	}
	return h
}

func holder(i int) gate.Holder {
	run := fmt.Sprint("run-", i)
	return gate.Holder{Pod: "pod-" + run, Job: run, Campaign: contacts.Campaign{
		Namespace: "acme-shop", Name: run, UID: "uid-" + run, Generation: 1, Job: "job-" + run,
	}}
}

func (h *history) desk(sender int) *gate.Desk { return h.desks[sender%len(h.desks)] }

// draw gives each sender a permit for everybody.
func (h *history) draw() {
	h.Helper()
	for i := range senders + 1 {
		d, err := h.desk(i).Draw(h.Context(), holder(i), people, 10*time.Second, nil)
		if err != nil || len(d.Permits) != people {
			h.Fatalf("drawn: %+v, %v", d, err)
		}
		permits := map[string]string{}
		for _, p := range d.Permits {
			permits[p.Principal] = p.Permit
		}
		h.permits = append(h.permits, permits)
	}
}

// race lets half of the customers withdraw while everybody is contacted.
func (h *history) race() {
	var all sync.WaitGroup
	all.Go(func() {
		for _, i := range rand.Perm(people)[:people/2] {
			id := h.answers.ids[i]
			call := h.now()
			if err := h.answers.withdraw(h.Context(), id); err != nil {
				h.Error(err)
				return
			}
			h.note(id, porcupine.Operation{ClientId: senders + 1, Input: said{true, id}, Output: true, Call: call, Return: h.now()})
			h.redeem(senders, id) // acknowledged is acknowledged
		}
	})
	for n := range senders {
		all.Go(func() {
			for _, i := range rand.Perm(people) {
				h.redeem(n, h.answers.ids[i])
			}
		})
	}
	all.Wait()
}

func (h *history) redeem(sender int, id string) {
	ctx, cancel := context.WithTimeout(h.Context(), time.Minute)
	defer cancel()
	call := h.now()
	results, err := h.desk(sender).Redeem(ctx, holder(sender), []string{h.permits[sender][id]})
	if err != nil {
		h.Error(err)
		return
	}
	no := results[0].State != permit.Redeemed
	h.note(id, porcupine.Operation{ClientId: sender, Input: said{false, id}, Output: no, Call: call, Return: h.now()})
}

func (h *history) now() int64 { return time.Since(h.began).Nanoseconds() }

func (h *history) note(id string, op porcupine.Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops[id] = append(h.ops[id], op)
}

func (h *history) check(broken bool) {
	wrong := 0
	for id, ops := range h.ops {
		if !porcupine.CheckOperations(oneWord, ops) {
			wrong++
			if !broken {
				h.Errorf("%s: no order explains %+v", id, ops)
			}
		}
	}
	if broken && wrong == 0 {
		h.Error("nothing is proven, and nobody notices")
	}
}

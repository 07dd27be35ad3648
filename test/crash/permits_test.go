package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/test/fleet"
	"github.com/codb-dev/codb/test/postgres"
)

// mostAWeek is the cap that every customer of these tests asks for; it is lower
// than that of the baseline.
const mostAWeek = 2

// Whatever hands out permits is killed again and again, while campaigns contact
// the same customers, who want two contacts a week and of whom some withdraw. In
// the end the ledger tells: nobody was contacted too often, twice by a campaign,
// or after a withdrawal was acknowledged, no permit was good twice, nothing that
// a sender was told or that was acknowledged is missing, and no permit is
// outstanding for longer than its life.
func TestKilledWhileItHandsOutPermits(t *testing.T) {
	for name, begin := range map[string]func(*testing.T) *plant{
		"Standalone": standalone, "Embedded": embedded, "PostgreSQL": onPostgres,
	} {
		t.Run(name, func(t *testing.T) { handsOut(t, begin) })
	}
}

// plant is all that hands out permits.
type plant struct {
	victims []victim
	alive   []*codb
	open    func(context.Context) (ledger.Store, error) // after all has ended
}

// victim can be killed, and is back then or soon.
type victim struct {
	name string
	kill func()
}

func (p *plant) process(name string, c *codb) {
	p.alive = append(p.alive, c)
	p.victims = append(p.victims, victim{name, c.again})
}

// revive starts what has ended by itself.
func (p *plant) revive() {
	for _, c := range p.alive {
		c.revive()
	}
}

func (p *plant) end() {
	for _, c := range p.alive {
		c.kill()
	}
}

func file(c *codb) func(context.Context) (ledger.Store, error) {
	return func(context.Context) (ledger.Store, error) {
		return ledger.Open(filepath.Join(c.path("ledger"), "contacts.db"), ledger.Options{})
	}
}

func standalone(t *testing.T) *plant {
	t.Helper()
	c := newCodb(t)
	p := &plant{open: file(c)}
	p.process("codb", c)
	return p
}

// embedded is an operator and the one gate that owns the file.
func embedded(t *testing.T) *plant {
	t.Helper()
	c := install(t)
	p := &plant{open: file(c)}
	p.process("gate", c.begin("codb-gate", "gate", "--metrics-address=0", "--data="+c.path("ledger")))
	p.operator(c)
	return p
}

// onPostgres is an operator, two gates, and the server that they share.
func onPostgres(t *testing.T) *plant {
	t.Helper()
	server, err := postgres.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	c := install(t)
	p := &plant{open: func(ctx context.Context) (ledger.Store, error) {
		return ledger.OpenDatabase(ctx, server.URL(), ledger.DatabaseOptions{})
	}}
	for range 2 {
		p.process("gate", c.begin("codb-gate", "gate", "--metrics-address=0", "--ledger="+server.URL()))
	}
	p.operator(c)
	p.victims = append(p.victims, victim{"PostgreSQL", func() {
		if err := errors.Join(server.Kill(), server.Start()); err != nil {
			t.Error(err)
		}
	}})
	return p
}

func (p *plant) operator(c *codb) {
	p.process("operator", c.begin(v1alpha1.OperatorServiceAccount,
		"operator", "--webhook-port=0", "--webhook-host=127.0.0.1", "--metrics-address=0", "--probe-address=0"))
	c.baseline()
}

// begin starts a process of codb with the rights of that account alone.
func (c *codb) begin(account string, args ...string) *codb {
	c.Helper()
	raw, err := env.Kubeconfig("system:serviceaccount:"+v1alpha1.SystemNamespace+":"+account, "system:serviceaccounts", "system:authenticated")
	if err != nil {
		c.Fatal(err)
	}
	p := &codb{T: c.T, dir: c.dir, kubeconfig: c.path("kubeconfig-" + account), args: args}
	if err := os.WriteFile(p.kubeconfig, raw, 0o600); err != nil {
		c.Fatal(err)
	}
	p.start()
	c.Cleanup(func() { p.kill() })
	return p
}

func handsOut(t *testing.T, begin func(*testing.T) *plant) {
	fresh(t)
	people, campaigns, kills := scale(60, 1000), scale(3, 5), scale(6, 340)
	ns := acme(t)
	p := begin(t)
	populate(t, people)
	s := newSending(t, ns)
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	for i := range campaigns {
		name := fmt.Sprint("run-", i)
		o := fleet.Campaign(ns, name, "everyone", &v1alpha1.Workload{Job: &v1alpha1.JobTemplate{Image: "sender", Command: []string{"/sender"}}})
		o.Spec.Recipients = v1alpha1.RecipientsPermits
		create(t, o)
		working.Go(func() { s.send(ctx, name) })
	}
	s.progress(0)
	began, victims := time.Now(), map[string]int{}
	for n := range kills {
		fleet.Pause(ctx, 500*time.Millisecond)
		if n%2 == 0 && n/2 < people/4 {
			s.withdraw(name(n / 2))
		}
		v := p.victims[rand.N(len(p.victims))]
		before := s.count()
		v.kill()
		victims[v.name]++
		p.revive()
		if (n%4 == 3 || n == kills-1) && before < people*mostAWeek*3/4 { // else few are left, and none may be
			s.progress(before)
		}
		if t.Failed() {
			break
		}
	}
	took := time.Since(began)
	stop()
	working.Wait()
	p.end()
	store, err := p.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	s.compare(store)
	t.Logf("%d customers, %d campaigns, %d withdrawals, killed %v in %s: %d told to hand over, %d outcomes acknowledged; "+
		"without permit %d, after a withdrawal %d, over a cap %d, twice %d, lost %d",
		people, campaigns, len(s.withdrawn), victims, took.Round(time.Second), s.count(), len(s.reported),
		s.unpermitted, s.late, s.over, s.twice, s.lost)
	if t.Failed() {
		t.Log(p.alive[0].log()) // they share one
	}
}

func name(i int) string { return fmt.Sprintf("c-kill-%04d", i) }

func populate(t *testing.T, people int) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(16)
	for i := range people {
		group.Go(func() error {
			o := fleet.Customer(name(i), "everyone")
			o.Spec.Caps = []v1alpha1.FrequencyCap{{
				Name: "mine", Max: mostAWeek, Window: v1alpha1.WindowRolling, Length: "168h", Counts: []v1alpha1.PurposeClass{v1alpha1.ClassMarketing},
			}}
			return env.Client.Create(t.Context(), o)
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

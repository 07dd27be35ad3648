package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/test/fleet"
)

// Two operators share a gate. The one that leads is killed, is asked to end, or
// loses its lease, while campaigns come and customers think again. All the
// time: nothing is let go that was not allowed, and nothing twice. In the end
// nothing is forgotten.
func TestTheLeaderChanges(t *testing.T) {
	fresh(t)
	changes := scale(3, 12)
	jobs := 10 * changes
	w := fleet.New(t, env.Config, env.Scheme, acme(t), v1alpha1.JobTemplate{Image: "sender", Command: []string{"/sender"}}, jobs/4)
	pair := newPair(t)
	ctx, stop := context.WithCancel(t.Context())
	var watching, working sync.WaitGroup
	watching.Go(func() { w.Watch(ctx) })
	defer watching.Wait()
	defer stop()

	submitted := make(chan int, jobs)
	working.Go(func() {
		defer close(submitted)
		for i := range jobs {
			w.Submit(i)
			submitted <- i
			fleet.Pause(ctx, 2*time.Second)
		}
	})
	working.Go(func() { w.Flip(ctx, jobs, 2*time.Second) })
	for n := range changes {
		if t.Failed() {
			break
		}
		<-submitted // there is work in the middle of which it happens
		pair.change(ways[n%len(ways)])
	}
	working.Wait()
	w.Rest(jobs, time.Minute, pair.revive)
	t.Logf("%d Jobs, %d changes of the leader: %d let go, %d wrong", jobs, changes, w.Released(), w.Wrong())
	if t.Failed() {
		t.Log(pair[0].log(), pair[1].log())
	}
}

// way is one in which a leader stops to lead.
type way struct {
	name string
	do   func(*replica)
}

var ways = []way{
	{"killed", func(r *replica) { r.kill() }},
	{"asked to end", func(r *replica) {
		if err := r.command.Process.Signal(syscall.SIGTERM); err != nil {
			r.Error(err)
		}
		<-r.ended
	}},
	{"robbed of its lease", func(r *replica) {
		r.rob()
		select {
		case <-r.ended:
		case <-time.After(time.Minute):
			r.Error("a leader without a lease goes on")
		}
	}},
}

// replica is one of two operators.
type replica struct {
	*codb
	metrics string
}

type pair [2]*replica

// newPair starts a gate and two operators, each with codb's own rights.
func newPair(t *testing.T) pair {
	t.Helper()
	c := install(t)
	raw, err := env.Kubeconfig(v1alpha1.OperatorUsername, "system:serviceaccounts")
	if err != nil {
		t.Fatal(err)
	}
	own := c.path("own-kubeconfig")
	if err := os.WriteFile(own, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	begin := func(args ...string) *codb {
		p := &codb{T: t, dir: c.dir, kubeconfig: own, args: args}
		p.start()
		t.Cleanup(func() { p.kill() })
		return p
	}
	begin("gate", "--metrics-address=0", "--data="+c.path("ledger"))
	var both pair
	for i := range both {
		r := &replica{metrics: freeAddress(t)}
		r.codb = begin("operator", "--webhook-port=0", "--webhook-host=127.0.0.1", "--probe-address=0", "--metrics-address="+r.metrics)
		both[i] = r
		if i == 0 {
			c.baseline()
		}
	}
	fleet.Until(t, "one of two leads", time.Minute, func() error { _, err := both.leader(); return err })
	if t.Failed() {
		t.FailNow()
	}
	return both
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// leader is the one that leads, if exactly one does.
func (p pair) leader() (*replica, error) {
	var leads []*replica
	for _, r := range p {
		if r.leads() {
			leads = append(leads, r)
		}
	}
	if len(leads) != 1 {
		return nil, fmt.Errorf("%d of two lead", len(leads))
	}
	return leads[0], nil
}

var leading = regexp.MustCompile(`(?m)^leader_election_master_status\{[^}]*\} 1$`)

// leads asks the process itself.
func (r *replica) leads() bool {
	resp, err := http.Get("http://" + r.metrics + "/metrics")
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	return err == nil && leading.Match(raw)
}

// change has the leader stop in this way, and the other one go on.
func (p pair) change(w way) {
	was, err := p.leader()
	if err != nil {
		p[0].Error(err)
		return
	}
	w.do(was)
	was.kills++
	fleet.Until(was.T, "the other goes on after a leader was "+w.name, time.Minute, func() error {
		is, err := p.leader()
		if err == nil && is == was {
			err = errors.New("the former leads")
		}
		return err
	})
	was.start()
}

// rob writes another holder into the lease, as a leader would that believes the
// former one to be dead.
func (r *replica) rob() {
	fleet.Until(r.T, "take the lease away", time.Minute, func() error {
		lease := &coordinationv1.Lease{}
		if err := env.Client.Get(context.Background(), client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: "codb-operator"}, lease); err != nil {
			return err
		}
		lease.Spec.HolderIdentity, lease.Spec.RenewTime = ptr.To("somebody else"), ptr.To(metav1.NowMicro())
		return env.Client.Update(context.Background(), lease)
	})
}

// revive starts what has ended by itself.
func (p pair) revive() {
	for _, r := range p {
		select {
		case <-r.ended:
			r.start()
		default:
		}
	}
}

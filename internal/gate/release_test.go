package gate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/permit"
)

func (o *office) release(h Holder, ids ...string) (out []permit.Answer) {
	o.Helper()
	results, err := o.desk.Release(o.Context(), h, ids)
	if err != nil {
		o.Fatal(err)
	}
	for i, r := range results {
		if r.Permit != ids[i] {
			o.Fatalf("answer %d is about %s, not %s", i, r.Permit, ids[i])
		}
		out = append(out, r.State)
	}
	return out
}

func TestWhatAPodGivesBackGoesToAnotherAtOnce(t *testing.T) {
	o := newOffice(t, "c-1", "c-2")
	o.town.cap = 1
	mine := pod(1, "spring")
	held := ids(o.draw(mine, 9))
	o.redeem(mine, held[1])
	o.want("another pod's, another campaign's, a forged one", []permit.Answer{permit.Unknown, permit.Unknown, permit.Unknown},
		append(o.release(pod(2, "spring"), held[0], "forged"), o.release(pod(1, "autumn"), held[0])...))
	o.town.change(func() { o.town.problem = fmt.Errorf("%w: the Job is suspended", ErrForbidden) })
	o.want("its own, twice in one request", []permit.Answer{permit.Released, permit.AlreadyRedeemed, permit.Released}, o.release(mine, held[0], held[1], held[0]))
	o.want("and once more", []permit.Answer{permit.Released}, o.release(mine, held[0]))
	o.want("ledger", []contacts.Event{contacts.Drawn, contacts.Returned}, o.events("c-1"))
	o.town.change(func() { o.town.problem = nil })
	o.want("redeem", []permit.Answer{permit.Voided}, o.redeem(mine, held[0]))
	o.want("another campaign under the cap", []string{"c-1"}, people(o.draw(pod(3, "autumn"), 9)))

	held = ids(o.draw(pod(4, "winter"), 9))
	if len(held) != 0 {
		t.Fatalf("drawn over the cap: %v", held)
	}
}

func TestWhatLapsedIsGivenBackToo(t *testing.T) {
	o := newOffice(t, "c-1")
	held := ids(o.draw(pod(1, "spring"), 9))
	o.town.wait(permit.Life)
	o.want("at its end", []permit.Answer{permit.Released}, o.release(pod(1, "spring"), held...))
	o.want("another pod", []string{"c-1"}, people(o.draw(pod(2, "spring"), 9)))
}

// register is an Attendance: which pods are gone.
type register struct {
	gone    map[string]bool
	problem error
	asked   int
}

func (r *register) Gone(_ context.Context, h Holder) (bool, error) {
	r.asked++
	return r.gone[h.Pod], r.problem
}

func TestWhatAPodHoldsThatIsGone(t *testing.T) {
	o := newOffice(t, "c-1", "c-2", "c-3")
	pods := &register{gone: map[string]bool{"pod-1": true}}
	o.desk = NewDesk(DeskOptions{Ledger: o.file, World: o.town, Pods: pods, Clock: o.town.clock, Log: logr.Discard()})
	call := func() {
		t.Helper()
		if err := o.desk.callRoll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	lost := ids(o.draw(pod(1, "spring"), 2))
	o.redeem(pod(1, "spring"), lost[1])
	kept := ids(o.draw(pod(2, "spring"), 1))
	call()
	o.want("looks after pods that just asked", 0, pods.asked)
	o.town.wait(quietFor + time.Second)

	pods.problem = errors.New("no route to host")
	if err := o.desk.callRoll(t.Context()); err == nil {
		t.Error("nobody knows, and nobody says so")
	}
	o.want("while nobody knows", []contacts.Event{contacts.Drawn}, o.events("c-1"))
	pods.problem = nil
	call()
	o.want("taken back", []contacts.Event{contacts.Drawn, contacts.Voided}, o.events("c-1"))
	o.want("what was redeemed stays", []contacts.Event{contacts.Drawn, contacts.Redeemed}, o.events("c-2"))
	page, err := o.file.After(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	o.want("why", []string{v1alpha1.CodePodGone}, page.Records[len(page.Records)-1].Reasons)
	o.want("a pod that is there after all", []permit.Answer{permit.Voided, permit.AlreadyRedeemed}, o.redeem(pod(1, "spring"), lost...))
	o.want("another's", []permit.Answer{permit.Redeemed}, o.redeem(pod(2, "spring"), kept...))
	o.want("drawn again", []string{"c-1"}, people(o.draw(pod(2, "spring"), 9)))
}

func TestWhichPodsAreGone(t *testing.T) {
	of := func(phase corev1.PodPhase, deleted bool) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "acme-shop", Name: "spring-x", UID: "pod-1"}, Status: corev1.PodStatus{Phase: phase}}
		if deleted {
			p.DeletionTimestamp, p.Finalizers = &metav1.Time{Time: noon}, []string{"acme.example/wait"}
		}
		return p
	}
	other := of(corev1.PodRunning, false)
	other.UID = "pod-2"
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"Running": {of(corev1.PodRunning, false), false}, "OnItsWayOut": {of(corev1.PodRunning, true), false},
		"Done": {of(corev1.PodSucceeded, false), true}, "Failed": {of(corev1.PodFailed, false), true},
		"AnotherOfTheName": {other, true}, "Nowhere": {nil, true},
	} {
		cluster := fake.NewClientBuilder()
		if tc.pod != nil {
			cluster = cluster.WithObjects(tc.pod)
		}
		h := pod(1, "spring")
		h.PodName = "spring-x"
		if gone, err := (&ClusterPods{live: cluster.Build()}).Gone(t.Context(), h); err != nil || gone != tc.want {
			t.Errorf("%s: gone %v, %v", name, gone, err)
		}
	}
}

func TestReleasingOverTheWire(t *testing.T) {
	h, _ := newPermitHouse(t, "c-1")
	var d Drawn
	h.permits("draw", `{"max":1}`, &d)
	var out releaseResponse
	h.permits("release", fmt.Sprintf(`{"permits":[%q,"p-9"]}`, d.Permits[0].Permit), &out)
	if out.Results[0].State != permit.Released || out.Results[1].State != permit.Unknown {
		t.Errorf("released: %+v", out)
	}
	for body, status := range map[string]int{`{"permits":[]}`: 422, `{"permits":["` + strings.Repeat(`p","`, maxPermits) + `"]}`: 422, `{"permit":"p"}`: 400} {
		if got, _, text := h.ask("POST", "/v1/permits/release", "pod-1", body); got != status {
			t.Errorf("%.40s: %d %s, want %d", body, got, text, status)
		}
	}
	if got, _, _ := h.ask("POST", "/v1/permits/release", "stranger", `{"permits":["p"]}`); got != http.StatusForbidden {
		t.Errorf("a stranger: %d", got)
	}
}

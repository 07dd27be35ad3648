package main

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/permit"
)

// A pod gives back what it holds, draws again, and ends without a word.
func TestWhatAPodHoldsIsFreeWhenItEnds(t *testing.T) {
	w := newWorld(t)
	id := w.customer(0).Name
	c := w.campaign("spring", draws)
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	first := w.podOf("spring")
	drawn, _ := first.draw(1, "20s")
	var given struct{ Results []gate.Released }
	first.must("release", map[string]any{"permits": []string{drawn[id]}}, &given)
	if given.Results[0].State != permit.Released {
		t.Errorf("given back: %+v", given)
	}
	again, _ := first.draw(1, "0s")
	if again[id] == "" || again[id] == drawn[id] {
		t.Fatalf("after it was given back: %v", again)
	}

	// As a kubelet says it. We wait for a minute at most, and permits live for two.
	gone := &corev1.Pod{}
	w.get(client.ObjectKey{Namespace: w.ns, Name: first.name}, gone)
	gone.Status.Phase = corev1.PodFailed
	if err := env.As(t, "system:node:n-1", "system:masters").Status().Update(w.ctx, gone); err != nil {
		t.Fatal(err)
	}
	w.until("what the pod held is taken back", func() (bool, string) {
		w.get(client.ObjectKeyFromObject(c), c)
		n := c.Status.Permits
		return n != nil && n.Drawn == 2 && n.Outstanding == 0, fmt.Sprintf("%+v", n)
	})
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/gateaddress"
	"github.com/codb-dev/codb/internal/sender"
)

// slowSender writes down whom it gets, and answers for nobody before there is
// the file "go".
const slowSender = `
while read -r line; do
	echo "$line" >>"$0/journal"
	until [ -e "$0/go" ]; do sleep 0.05; done
	id=${line#*\"permit\":\"}; echo "{\"permit\":\"${id%%\"*}\",\"outcome\":\"Sent\"}"
done`

// TestASenderBehindCodbRunHearsOfAWithdrawal runs what a campaign's pod runs,
// with the token of that pod, against the gate.
func TestASenderBehindCodbRunHearsOfAWithdrawal(t *testing.T) {
	w := newWorld(t)
	people := map[string]bool{}
	for i := range 4 {
		people[w.customer(i).Name] = true
	}
	never := w.customer(4, optedOut)
	c := w.campaign("spring", draws)
	w.becomes(c, v1alpha1.CampaignPartlyAllowed, v1alpha1.WorkloadRunning)
	dir := t.TempDir()
	o := w.asPod(w.podOf("spring"), dir)
	o.Command = []string{"/bin/sh", "-c", slowSender, dir}
	ended := make(chan error, 1)
	go func() { ended <- sender.Run(w.ctx, o) }()

	journal := func() []string {
		raw, err := os.ReadFile(filepath.Join(dir, "journal"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		var names []string
		for line := range strings.Lines(string(raw)) {
			_, rest, _ := strings.Cut(line, `"principal":"`)
			name, _, _ := strings.Cut(rest, `"`)
			names = append(names, name)
		}
		return names
	}
	w.until("the sender has somebody in hand", func() (bool, string) {
		select {
		case err := <-ended:
			t.Fatalf("codb-run ended: %v", err)
		default:
		}
		return len(journal()) == 1, fmt.Sprint(o.Progress)
	})
	delete(people, journal()[0])
	var leaver string
	for leaver = range people {
		break
	}
	out, err := env.Kubectl(t, "patch", "cc", leaver, "-n", v1alpha1.CustomersNamespace, "--type=merge", "-p", `{"spec":{"optOut":{"since":"2026-01-01T00:00:00Z"}}}`)
	if err != nil {
		t.Fatalf("withdraw: %v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatalf("codb-run: %v", err)
	}
	got := map[string]int{}
	for _, name := range journal() {
		got[name]++
	}
	if len(got) != 3 || got[leaver] > 0 || got[never.Name] > 0 || len(journal()) != 3 {
		t.Errorf("the sender got %d lines, about %d people; the one who withdrew: %v, the one who never agreed: %v",
			len(journal()), len(got), got[leaver] > 0, got[never.Name] > 0)
	}
	if said := o.Progress.String(); !strings.Contains(said, "3 sent") || !strings.Contains(said, "nobody is left") || strings.Contains(said, leaver) {
		t.Errorf("progress: %s", said)
	}
	w.until("the status says what was sent", func() (bool, string) {
		w.get(types.NamespacedName{Namespace: c.Namespace, Name: c.Name}, c)
		n := c.Status.Permits
		return n != nil && n.Sent == 3 && n.Outstanding == 0, fmt.Sprintf("%+v", n)
	})
}

// asPod is how codb-run finds the gate in the pod: by what its volumes hold.
func (w *world) asPod(p *pod, dir string) sender.Options {
	w.Helper()
	var published corev1.ConfigMap
	w.until("the campaign's namespace knows the gate", func() (bool, string) {
		err := env.Client.Get(w.ctx, types.NamespacedName{Namespace: w.ns, Name: gateaddress.Name}, &published)
		return err == nil, fmt.Sprint(err)
	})
	o := sender.Options{
		Gate: published.Data["url"], CA: filepath.Join(dir, "ca.crt"), Token: filepath.Join(dir, "token"),
		AtOnce: 1, Patience: time.Minute, Grace: 5 * time.Second, Progress: &sender.Progress{},
	}
	for file, text := range map[string]string{o.CA: published.Data["ca.crt"], o.Token: p.token} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			w.Fatal(err)
		}
	}
	return o
}

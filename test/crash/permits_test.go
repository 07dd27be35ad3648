package crash

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/internal/permit"
	"github.com/codb-dev/codb/test/fleet"
)

// The gate is killed again and again while two campaigns draw and redeem for
// the same customers, who want one contact a week and of whom some withdraw. In
// the end the ledger's own file tells: nobody was contacted twice or after a
// withdrawal was acknowledged, no permit was good twice, nothing that a sender
// was told is missing, and no permit is outstanding for longer than its life.
func TestTheGateIsKilledWhileItHandsOutPermits(t *testing.T) {
	t.Run("Standalone", func(t *testing.T) {
		handsOut(t, func(t *testing.T) (*codb, func()) {
			c := newCodb(t)
			return c, func() { c.again(); c.revive() }
		})
	})
	t.Run("BesideTheOperator", func(t *testing.T) { handsOut(t, newApart) })
}

// newApart starts the operator and the gate, each with its own rights alone.
func newApart(t *testing.T) (*codb, func()) {
	t.Helper()
	c := install(t)
	begin := func(account string, args ...string) *codb {
		raw, err := env.Kubeconfig("system:serviceaccount:"+v1alpha1.SystemNamespace+":"+account, "system:serviceaccounts", "system:authenticated")
		if err != nil {
			t.Fatal(err)
		}
		p := &codb{T: t, dir: c.dir, kubeconfig: c.path("kubeconfig-" + account), args: args}
		if err := os.WriteFile(p.kubeconfig, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		p.start()
		t.Cleanup(func() { p.kill() })
		return p
	}
	g := begin("codb-gate", "gate", "--metrics-address=0", "--data="+c.path("ledger"))
	begin(v1alpha1.OperatorServiceAccount, "operator", "--webhook-port=0", "--webhook-host=127.0.0.1", "--metrics-address=0", "--probe-address=0")
	c.baseline()
	return g, func() { g.kill(); g.kills++; g.start() }
}

func handsOut(t *testing.T, begin func(*testing.T) (*codb, func())) {
	fresh(t)
	people, kills := scale(40, 2000), scale(5, 500)
	ns := acme(t)
	c, kill := begin(t)
	for i := range people {
		o := fleet.Customer(name(i), "everyone")
		o.Spec.Caps = []v1alpha1.FrequencyCap{{
			Name: "mine", Max: 1, Window: v1alpha1.WindowRolling, Length: "168h", Counts: []v1alpha1.PurposeClass{v1alpha1.ClassMarketing},
		}}
		create(t, o)
	}
	s := &sending{T: t, told: map[string]bool{}, withdrawn: map[string]time.Time{}, began: map[string]time.Time{}}
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	for _, campaign := range []string{"spring", "summer"} {
		o := fleet.Campaign(ns, campaign, "everyone", &v1alpha1.Workload{Job: &v1alpha1.JobTemplate{Image: "sender", Command: []string{"/sender"}}})
		o.Spec.Recipients = v1alpha1.RecipientsPermits
		create(t, o)
		working.Go(func() { s.send(ctx, ns, campaign) })
	}
	fleet.Until(t, "somebody was contacted", time.Minute, func() error {
		if s.count() == 0 {
			return errors.New("nobody yet")
		}
		return nil
	})
	for n := range kills {
		fleet.Pause(ctx, 2*time.Second)
		if n < people/4 {
			s.withdraw(name(n))
		}
		kill()
	}
	fleet.Until(t, "a gate that was killed hands out permits again", 3*time.Minute, func() error {
		if s.count() < people/2 {
			return fmt.Errorf("%d contacted", s.count())
		}
		return nil
	})
	stop()
	working.Wait()
	c.kill()
	s.compare(filepath.Join(c.path("ledger"), "contacts.db"))
	t.Logf("%d customers, %d kills, %d told to hand over", people, c.kills, s.count())
	if t.Failed() {
		t.Log(c.log())
	}
}

func name(i int) string { return fmt.Sprintf("c-kill-%04d", i) }

// sending is what the senders were told, and the customers said.
type sending struct {
	*testing.T
	mu        sync.Mutex
	told      map[string]bool      // permits that were redeemed, as far as the sender knows
	began     map[string]time.Time // permit to when redeeming began
	withdrawn map[string]time.Time // customer to when that was acknowledged
}

func (s *sending) count() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.told) }

func (s *sending) withdraw(id string) {
	o := &v1alpha1.CustomerConsent{}
	key := client.ObjectKey{Namespace: v1alpha1.CustomersNamespace, Name: id}
	if err := env.Client.Get(s.Context(), key, o); err != nil {
		s.Error(err)
		return
	}
	before := o.DeepCopy()
	o.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.Now()}
	if err := env.Client.Patch(s.Context(), o, client.MergeFrom(before)); err != nil {
		s.Error(err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.withdrawn[id] = time.Now()
}

// send draws a few and redeems them, until ctx ends; what fails is tried anew.
func (s *sending) send(ctx context.Context, ns, campaign string) {
	for ctx.Err() == nil {
		var d gate.Drawn
		if err := s.ask(ctx, ns, campaign, "draw", map[string]any{"max": 3, "wait": "1s"}, &d); err != nil {
			fleet.Pause(ctx, 100*time.Millisecond)
			continue
		}
		for _, p := range d.Permits {
			s.mu.Lock()
			s.began[p.Permit] = time.Now()
			s.mu.Unlock()
			var answer struct{ Results []gate.Redeemed }
			if err := s.ask(ctx, ns, campaign, "redeem", map[string]any{"permits": []string{p.Permit}}, &answer); err != nil {
				continue
			}
			if answer.Results[0].State == permit.Redeemed {
				s.mu.Lock()
				s.told[p.Permit] = true
				s.mu.Unlock()
			}
		}
	}
}

// ask speaks for a pod of the campaign, to the gate that there is now.
func (s *sending) ask(ctx context.Context, ns, campaign, verb string, question, into any) error {
	token, err := token(ctx, ns, campaign)
	if err != nil {
		return err
	}
	var cm corev1.ConfigMap
	if err := env.Client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: "codb-gate"}, &cm); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(cm.Data["ca.crt"]))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}
	defer transport.CloseIdleConnections()
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cm.Data["url"]+"/v1/permits/"+verb, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", verb, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// token of the first pod that the campaign has.
func token(ctx context.Context, ns, campaign string) (string, error) {
	var pods corev1.PodList
	if err := env.Client.List(ctx, &pods, client.InNamespace(ns), client.MatchingLabels{v1alpha1.LabelCampaign: campaign}); err != nil {
		return "", err
	}
	if len(pods.Items) == 0 {
		return "", errors.New("there is no pod")
	}
	pod, seconds := &pods.Items[0], int64(600)
	clients, err := kubernetes.NewForConfig(env.Config)
	if err != nil {
		return "", err
	}
	r, err := clients.CoreV1().ServiceAccounts(ns).CreateToken(ctx, "default", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{gate.Audience}, ExpirationSeconds: &seconds,
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return r.Status.Token, nil
}

// compare reads what is on the disk.
func (s *sending) compare(path string) {
	s.Helper()
	f, err := ledger.Open(path, ledger.Options{})
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	book, redeemed, contacted := permit.NewBook(), map[string]bool{}, map[string]int{}
	for at := uint64(0); ; {
		page, err := f.After(s.Context(), at, contacts.MaxBatch)
		if err != nil {
			s.Fatal(err)
		}
		if len(page.Records) == 0 {
			break
		}
		book.Apply(page.Records)
		for i := range page.Records {
			r := &page.Records[i]
			at = r.Sequence
			if r.Event != contacts.Redeemed {
				continue
			}
			if redeemed[r.Permit] {
				s.Errorf("permit %s was good twice", r.Permit)
			}
			redeemed[r.Permit] = true
			if contacted[r.Principal]++; contacted[r.Principal] > 1 {
				s.Errorf("%s was contacted %d times in a week that had room for one", r.Principal, contacted[r.Principal])
			}
			if no, said := s.withdrawn[r.Principal]; said && s.began[r.Permit].After(no) {
				s.Errorf("%s was contacted after the withdrawal", r.Principal)
			}
		}
	}
	for id := range s.told {
		if !redeemed[id] {
			s.Errorf("a sender was told to hand over under permit %s, of which the ledger knows nothing", id)
		}
	}
	for _, p := range book.Live() {
		if p.Until.After(time.Now().Add(permit.Life)) {
			s.Errorf("permit %s is outstanding until %s", p.ID, p.Until)
		}
	}
}

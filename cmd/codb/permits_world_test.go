package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/gate"
)

// draws lets a campaign draw permits.
func draws(s *v1alpha1.CampaignSpec) { s.Recipients = v1alpha1.RecipientsPermits }

// pod is one of a campaign's, as far as the gate can tell: the Job controller
// made it, the token is bound to it, and this test speaks for it.
type pod struct {
	*testing.T
	name  string
	token string
	at    address
	http  *http.Client
}

// podOf waits for a pod of the campaign's Job.
func (w *world) podOf(campaign string) *pod {
	w.Helper()
	var pods corev1.PodList
	w.until("campaign "+campaign+" has a pod", func() (bool, string) {
		if err := env.Client.List(w.ctx, &pods, client.InNamespace(w.ns), client.MatchingLabels{v1alpha1.LabelCampaign: campaign}); err != nil {
			w.Fatal(err)
		}
		return len(pods.Items) > 0 && pods.Items[0].DeletionTimestamp == nil, fmt.Sprint(len(pods.Items))
	})
	return w.speaker(w.token(gate.Audience, &pods.Items[0]), pods.Items[0].Name)
}

// token is one of the namespace's default account, bound to the pod if there is
// one.
func (w *world) token(audience string, of *corev1.Pod) string {
	w.Helper()
	seconds := int64(600)
	spec := authenticationv1.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: &seconds}
	if of != nil {
		spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: of.Name, UID: of.UID}
	}
	clients, err := kubernetes.NewForConfig(env.Config)
	if err != nil {
		w.Fatal(err)
	}
	var token string
	w.until("the namespace has an account", func() (bool, string) {
		r, err := clients.CoreV1().ServiceAccounts(w.ns).CreateToken(w.ctx, "default", &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
		if err != nil {
			return false, err.Error()
		}
		token = r.Status.Token
		return true, ""
	})
	return token
}

// speaker speaks to the gate as it stands.
func (w *world) speaker(token, name string) *pod {
	w.Helper()
	at, err := gateAddress{env.Client}.find(w.ctx)
	if err != nil {
		w.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(at.ca))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true}
	w.Cleanup(transport.CloseIdleConnections)
	return &pod{T: w.T, name: name, token: token, at: at, http: &http.Client{Transport: transport, Timeout: time.Minute}}
}

// ask returns the status, and the answer in into where it is 200; else a
// problem.
func (p *pod) ask(verb string, question, into any) (int, *gate.Problem, error) {
	body, err := json.Marshal(question)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequest(http.MethodPost, p.at.url+"/v1/permits/"+verb, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := p.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, nil, err
	}
	if res.StatusCode == http.StatusOK {
		return res.StatusCode, nil, json.Unmarshal(data, into)
	}
	problem := &gate.Problem{}
	return res.StatusCode, problem, json.Unmarshal(data, problem)
}

func (p *pod) must(verb string, question, into any) {
	p.Helper()
	if status, problem, err := p.ask(verb, question, into); err != nil || status != http.StatusOK {
		p.Fatalf("%s: %d %v: %v", verb, status, problem, err)
	}
}

// draw draws by principal.
func (p *pod) draw(most int, wait string) (map[string]string, gate.Drawn) {
	p.Helper()
	var d gate.Drawn
	p.must("draw", map[string]any{"max": most, "wait": wait}, &d)
	out := map[string]string{}
	for _, permit := range d.Permits {
		out[permit.Principal] = permit.Permit
	}
	return out, d
}

// redeem returns what became of each permit.
func (p *pod) redeem(permits ...string) map[string]gate.Redeemed {
	p.Helper()
	var answer struct{ Results []gate.Redeemed }
	p.must("redeem", map[string]any{"permits": permits}, &answer)
	out := map[string]gate.Redeemed{}
	for _, r := range answer.Results {
		out[r.Permit] = r
	}
	return out
}

func (p *pod) report(permit, outcome string) bool {
	p.Helper()
	var answer struct{ Results []gate.Reported }
	p.must("report", map[string]any{"outcomes": []map[string]string{{"permit": permit, "outcome": outcome}}}, &answer)
	return answer.Results[0].Recorded
}

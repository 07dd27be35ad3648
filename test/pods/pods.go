// Package pods speaks to the gate for pods of campaigns. It does not know what
// is sent, or to whom.
package pods

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/gate"
)

// Pod is one of a campaign's, as far as the gate can tell.
type Pod struct {
	url, token string
	http       *http.Client
}

// Dial makes a pod that shows the token to the gate at the URL.
func Dial(url string, ca []byte, token string) *Pod {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &Pod{url: url, token: token, http: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true,
	}}}
}

// Of is a pod that the campaign has, and that the Job controller made, at the
// gate that there is now.
func Of(ctx context.Context, c client.Reader, cfg *rest.Config, namespace, campaign string) (*Pod, error) {
	var list corev1.PodList
	if err := c.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelCampaign: campaign}); err != nil {
		return nil, err
	}
	if len(list.Items) == 0 {
		return nil, errors.New("there is no pod")
	}
	of, seconds := &list.Items[0], int64(3600)
	clients, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	r, err := clients.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, "default", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{gate.Audience}, ExpirationSeconds: &seconds,
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: of.Name, UID: of.UID},
	}}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	var at corev1.ConfigMap
	if err := c.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: "codb-gate"}, &at); err != nil {
		return nil, err
	}
	return Dial(at.Data["url"], []byte(at.Data["ca.crt"]), r.Status.Token), nil
}

// Close lets go of the gate.
func (p *Pod) Close() { p.http.CloseIdleConnections() }

// Draw draws at most so many permits.
func (p *Pod) Draw(ctx context.Context, most int, wait string) (d gate.Drawn, err error) {
	return d, p.ask(ctx, "draw", map[string]any{"max": most, "wait": wait}, &d)
}

// Redeem asks whether messages may be handed over.
func (p *Pod) Redeem(ctx context.Context, permits ...string) ([]gate.Redeemed, error) {
	var answer struct{ Results []gate.Redeemed }
	err := p.ask(ctx, "redeem", map[string]any{"permits": permits}, &answer)
	if err == nil && len(answer.Results) != len(permits) {
		err = fmt.Errorf("%d permits, %d answers", len(permits), len(answer.Results))
	}
	return answer.Results, err
}

// Report says what became of messages.
func (p *Pod) Report(ctx context.Context, outcomes ...gate.Outcome) ([]gate.Reported, error) {
	var answer struct{ Results []gate.Reported }
	err := p.ask(ctx, "report", map[string]any{"outcomes": outcomes}, &answer)
	if err == nil && len(answer.Results) != len(outcomes) {
		err = fmt.Errorf("%d outcomes, %d answers", len(outcomes), len(answer.Results))
	}
	return answer.Results, err
}

func (p *Pod) ask(ctx context.Context, verb string, question, into any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/v1/permits/"+verb, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", verb, res.Status, text)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

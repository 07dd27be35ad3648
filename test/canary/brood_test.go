package canary

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/test/apiserver"
)

const (
	namespace = "acme-marketing"
	labelWho  = "who"
)

// newBrood runs codb as a platform team would, at its default level of logs.
func newBrood(t *testing.T) *brood {
	t.Helper()
	env, err := apiserver.Start(apiserver.Options{Controllers: true})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	b := &brood{T: t, ctx: t.Context(), env: env, client: env.Client, metrics: freeAddress(t), log: filepath.Join(dir, "log")}
	codb, err := apiserver.BuildCodb(dir)
	b.must(err)
	kubeconfig, err := env.Kubeconfig("admin", "system:masters")
	b.must(err)
	b.must(os.WriteFile(filepath.Join(dir, "kubeconfig"), kubeconfig, 0o600))
	b.run(dir, codb, "install")

	log, err := os.Create(b.log)
	b.must(err)
	c := exec.Command(codb, "standalone", "--webhook-port", "0", "--metrics-address", b.metrics, "--probe-address", "0", "--data", filepath.Join(dir, "ledger"))
	c.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(dir, "kubeconfig"))
	c.Stdout, c.Stderr = log, log
	b.must(c.Start())
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		if err := c.Wait(); err != nil {
			t.Errorf("codb ended: %v", err)
		}
		if t.Failed() {
			t.Logf("log of codb:\n%s", read(t, b.log))
		}
	})
	b.until("codb admits its baseline", func() (string, bool) {
		out, err := b.command(dir, codb, "install", "--policy").CombinedOutput()
		return string(out), err == nil
	})
	b.world()
	return b
}

func (b *brood) command(dir, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(b.ctx, name, args...)
	c.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(dir, "kubeconfig"))
	return c
}

func (b *brood) run(dir, name string, args ...string) {
	b.Helper()
	if out, err := b.command(dir, name, args...).CombinedOutput(); err != nil {
		b.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// world is the brand and its namespace.
func (b *brood) world() {
	b.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	b.create(&v1alpha1.Brand{
		ObjectMeta: metav1.ObjectMeta{Name: "acme"},
		Spec: v1alpha1.BrandSpec{
			DisplayName: "Acme", Namespaces: []string{namespace}, Agreements: []v1alpha1.Depth{v1alpha1.DepthProfiling},
			Purposes: []v1alpha1.BrandPurpose{
				{Name: "Marketing", Class: v1alpha1.ClassMarketing, Notice: "Offers.", NoticeVersion: "1"},
				{Name: "Recall", Class: v1alpha1.ClassService, Notice: "Recalls.", NoticeVersion: "1"},
			},
		},
	})
	b.until("the namespace is enforced", func() (string, bool) {
		ns := &corev1.Namespace{}
		b.must(b.client.Get(b.ctx, client.ObjectKey{Name: namespace}, ns))
		return fmt.Sprint(ns.Labels), ns.Labels[v1alpha1.LabelEnforce] == v1alpha1.EnforceTrue
	})
}

// consent says yes, with canaries wherever text fits that is about a person.
func consent(id, group string, changes ...func(*v1alpha1.CustomerConsentSpec)) *v1alpha1.CustomerConsent {
	asked := metav1.NewTime(time.Now().Add(-30 * 24 * time.Hour).Truncate(time.Second))
	confirmed := metav1.NewTime(asked.Add(time.Hour))
	born := int32(1950)
	c := &v1alpha1.CustomerConsent{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: v1alpha1.CustomersNamespace, Name: id,
			Labels: map[string]string{labelWho: group, "nickname": marked}, Annotations: map[string]string{"note": marked},
		},
		Spec: v1alpha1.CustomerConsentSpec{
			TimeZone: "Europe/Berlin", TimeZoneSource: "Declared", Jurisdiction: "DE", BirthYear: &born, LifeStage: "Retired",
			Relationships: []v1alpha1.Relationship{{
				Brand: "acme", Depth: v1alpha1.DepthProfiling, Reward: &v1alpha1.Reward{Statement: promised},
			}},
		},
	}
	for _, purpose := range []v1alpha1.Purpose{"Marketing", "Recall"} {
		c.Spec.Relationships[0].Grants = append(c.Spec.Relationships[0].Grants, v1alpha1.Grant{
			Purpose: purpose, Channel: v1alpha1.ChannelEmail, Status: v1alpha1.ConsentGiven,
			ConsentType: v1alpha1.ExplicitlyExpressedConsent, CaptureDate: asked, DoubleConsentCaptureDate: &confirmed,
		})
	}
	for _, f := range changes {
		f(&c.Spec)
	}
	return c
}

func (b *brood) campaign(name string, purpose v1alpha1.Purpose, groups ...string) *v1alpha1.Campaign {
	b.Helper()
	c := &v1alpha1.Campaign{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.CampaignSpec{
			Brand: "acme", Purpose: purpose, Channel: v1alpha1.ChannelEmail, Depth: v1alpha1.DepthProfiling, Owner: "team",
			Audience: v1alpha1.Audience{Selector: &v1alpha1.AudienceSelector{Labels: []v1alpha1.LabelMatch{{Key: labelWho, Values: groups}}}},
			Workload: &v1alpha1.Workload{Job: &v1alpha1.JobTemplate{Image: "sender", Command: []string{"/sender"}}},
		},
	}
	b.create(c)
	return c
}

func (b *brood) review(name, customer string) {
	b.Helper()
	q := &v1alpha1.ConsentReview{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.CustomersNamespace, Name: name},
		Spec:       v1alpha1.ConsentReviewSpec{Campaign: v1alpha1.NamespacedReference{Namespace: namespace, Name: "mixed"}, Customer: customer},
	}
	b.create(q)
	b.until("the question is answered", func() (string, bool) {
		b.must(b.client.Get(b.ctx, client.ObjectKeyFromObject(q), q))
		return fmt.Sprint(q.Status), q.Status.Verdict != ""
	})
}

func (b *brood) becomes(c *v1alpha1.Campaign, verdict v1alpha1.CampaignVerdict, state v1alpha1.WorkloadState) {
	b.Helper()
	b.until(fmt.Sprintf("campaign %s is %s and %s", c.Name, verdict, state), func() (string, bool) {
		b.must(b.client.Get(b.ctx, client.ObjectKeyFromObject(c), c))
		s := &c.Status
		return fmt.Sprintf("%s %s: %s %v", s.Verdict, s.Workload, s.Why, s.Conditions), s.Verdict == verdict && s.Workload == state
	})
}

func (b *brood) until(what string, look func() (string, bool)) {
	b.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		seen, ok := look()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("waited in vain until %s; seen last: %s", what, seen)
		}
	}
}

func (b *brood) create(o client.Object) {
	b.Helper()
	if err := b.client.Create(b.ctx, o); err != nil {
		b.Fatalf("create %T %s: %v", o, o.GetName(), err)
	}
}

func (b *brood) consent(name string) *v1alpha1.CustomerConsent {
	b.Helper()
	c := &v1alpha1.CustomerConsent{}
	b.must(b.client.Get(b.ctx, types.NamespacedName{Namespace: v1alpha1.CustomersNamespace, Name: name}, c))
	return c
}

func (b *brood) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
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

// insecure is a stranger's client, who trusts any certificate.
func insecure() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/controllers/gateaddress"
	"github.com/codb-dev/codb/internal/certificate"
)

// operatorOptions are the flags of the operator.
type operatorOptions struct {
	webhookHost string
	webhookPort int
	metrics     string
	probes      string
	workers     int
	sandboxes   int
	retention   time.Duration
	gateToken   string
	secret      string
	life        time.Duration
	baseline    bool
	kueue       string
	consents    consentOptions
}

func (o *operatorOptions) register(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.webhookHost, "webhook-host", "", "address at which the apiserver reaches this process; empty: through the Service of config/webhook")
	f.IntVar(&o.webhookPort, "webhook-port", 9443, "port of the webhook; 0: a free one")
	f.StringVar(&o.metrics, "metrics-address", "127.0.0.1:8080", "where metrics are served; 0: nowhere")
	f.StringVar(&o.probes, "probe-address", "127.0.0.1:8081", "where /livez and /readyz are served; 0: nowhere")
	f.IntVar(&o.workers, "campaign-workers", 32, "campaigns that are looked at side by side: what they share is looked at once")
	f.IntVar(&o.sandboxes, "policy-workers", 2, "processes that evaluate policies")
	f.StringVar(&o.kueue, kueueFlag, "", kueueUsage)
	f.DurationVar(&o.retention, "decision-retention", 400*24*time.Hour, "how long decisions are kept; 0: for ever")
	o.consents.register(f)
}

// kueueFlag is the same of codb install and of the operator: the one renders the
// admission policies, the other checks that they are in force.
const (
	kueueFlag  = "kueue-user"
	kueueUsage = "username of Kueue's controller, which may start released Jobs that have its queue label: system:serviceaccount:<namespace>:<name>; empty: such Jobs are refused"
)

func operatorCommand() *cobra.Command {
	var o operatorOptions
	c := &cobra.Command{
		Use:   "operator",
		Short: "decide campaigns and hold or release their workloads",
		Args:  cobra.NoArgs,
	}
	o.register(c)
	f := c.Flags()
	f.StringVar(&o.gateToken, "gate-token-file", "", "file with the token for the gate that the kubelet renews; empty: ask the apiserver for tokens")
	f.StringVar(&o.secret, "certificate-secret", "", "Secret in codb's namespace that keeps the webhook's certificate; empty: this process")
	f.DurationVar(&o.life, "certificate-life", certificateLife, "how long a certificate is good for; it is renewed when less than half is left")
	f.BoolVar(&o.baseline, "baseline", false, "make the baseline policy, once in an installation's life, where there is no policy at all")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := ctrl.GetConfig()
		if err != nil {
			return fmt.Errorf("find the cluster: %w", err)
		}
		return runOperator(cmd.Context(), cfg, o, nil)
	}
	return c
}

// runOperator runs until ctx ends, with the gate in the same process if there is
// one.
func runOperator(ctx context.Context, cfg *rest.Config, o operatorOptions, g *servedGate) error {
	ctrl.SetLogger(newLogger())
	cfg = rest.CopyConfig(cfg)
	// The apiserver's own fairness is the limit, not a queue in here: of an import
	// what each consent amounts to is written.
	cfg.QPS, cfg.Burst = 1000, 2000
	mgr, certs, err := newManager(cfg, &o)
	if err != nil {
		return err
	}
	if err := assemble(ctx, mgr, cfg, o, certs, g); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

func newManager(cfg *rest.Config, o *operatorOptions) (manager.Manager, *certificate.Keeper, error) {
	s, err := newScheme()
	if err != nil {
		return nil, nil, err
	}
	if o.webhookPort == 0 {
		if o.webhookPort, err = freePort(); err != nil {
			return nil, nil, err
		}
	}
	var cert *certificate.Keeper // made below: it needs the manager's client
	lock, err := newWatchedLock(cfg, systemClock)
	if err != nil {
		return nil, nil, err
	}
	campaigns, err := labels.NewRequirement(v1alpha1.LabelCampaign, selection.Exists, nil)
	if err != nil {
		return nil, nil, err
	}
	workloads := cache.ByObject{Label: labels.NewSelector().Add(*campaigns)}
	customers := cache.ByObject{Namespaces: map[string]cache.Config{v1alpha1.CustomersNamespace: {}}}
	system := cache.ByObject{Namespaces: map[string]cache.Config{v1alpha1.SystemNamespace: {}}}
	grace, warm := 10*time.Second, true
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:                        s,
		LeaderElection:                true,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &grace,
		LivenessEndpointName:          "/livez",

		LeaderElectionResourceLockInterface: lock,
		// A replica that waits for its turn knows the world already.
		Controller:             ctrlconfig.Controller{EnableWarmup: &warm},
		HealthProbeBindAddress: o.probes,
		Metrics:                metricsserver.Options{BindAddress: o.metrics},
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: o.webhookHost, Port: o.webhookPort,
			TLSOpts: []func(*tls.Config){func(c *tls.Config) {
				c.MinVersion = tls.VersionTLS13
				c.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return cert.GetCertificate(h) }
			}},
		}),
		Client: neverCached,
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&v1alpha1.ConsentReview{}:    customers,
				&appsv1.ControllerRevision{}: system,
				&corev1.ConfigMap{}:          gateaddress.Cached,
				&batchv1.Job{}:               workloads,
				&batchv1.CronJob{}:           workloads,
			},
		},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("make the manager: %w", err)
	}
	cert = newKeeper(mgr.GetAPIReader(), mgr.GetClient(), o.secret, o.life)
	cert.Names, cert.Publish = webhookNames(o.webhookHost), registerWebhook(mgr.GetClient(), o)
	if err := mgr.AddHealthzCheck("leader", lock.check); err != nil {
		return nil, nil, err
	}
	return mgr, cert, mgr.AddReadyzCheck("webhook", mgr.GetWebhookServer().StartedChecker())
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

var systemClock clock.Clock = clock.RealClock{}

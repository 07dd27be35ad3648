// Package apiserver runs a real etcd and kube-apiserver for the tests of one
// package, with codb's kinds installed and, on demand, codb's admission
// policies and Kubernetes' own controllers. It knows nothing of codb's
// controllers: a test starts those itself.
//
// One instance serves all tests of a package:
//
//	var env *apiserver.Env
//
//	func TestMain(m *testing.M) {
//		os.Exit(apiserver.Run(m, apiserver.Options{Admission: true}, func(e *apiserver.Env) { env = e }))
//	}
//
// Tests keep apart by namespace: env.Namespace(t) makes one of its own.
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
)

// version of Kubernetes whose binaries are looked for in the cache.
const version = "v1.37.1"

// startTimeout is generous: the machine may be busy with other tests.
const startTimeout = 90 * time.Second

// Options say what is there besides etcd, kube-apiserver and codb's kinds.
type Options struct {
	// Admission installs codb's namespaces, roles and admission policies, and
	// waits until they are in force.
	Admission bool
	// NoMutation leaves the MutatingAdmissionPolicy out of Admission, as on
	// Kubernetes before 1.36.
	NoMutation bool
	// Controllers runs kube-controller-manager: Jobs get pods, CronJobs get
	// Jobs, owners collect garbage, namespaces can be deleted. No pod is ever
	// scheduled.
	Controllers bool
	// Workloads runs the controllers of every other kind that makes pods too.
	Workloads bool
	// Aggregation lets the apiserver send people to servers behind it, by
	// APIServices.
	Aggregation bool
	// Values go into the manifests.
	Values config.Values
	// Flags of kube-apiserver, by name, without dashes.
	Flags map[string]string
}

// Env is a running apiserver.
type Env struct {
	// Config is the administrator's (group system:masters).
	Config *rest.Config
	// Client is the administrator's.
	Client client.Client
	// Scheme knows Kubernetes' kinds and codb's.
	Scheme *runtime.Scheme

	values      config.Values
	environment *envtest.Environment
	controllers *controllers
	proxy       string // the folder of what Aggregation needs
}

// Run starts an Env, hands it to use, runs the tests of m and stops the Env.
// It is for TestMain and returns the exit code.
func Run(m *testing.M, o Options, use func(*Env)) int {
	env, err := Start(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	use(env)
	code := m.Run()
	if err := env.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}

// Start starts an Env for as long as the caller wants; most callers want Run.
func Start(o Options) (*Env, error) {
	assets, err := assetsDir()
	if err != nil {
		return nil, err
	}
	log.SetLogger(logr.Discard()) // unless the test has set one
	env := &Env{values: o.Values, environment: &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		ControlPlaneStartTimeout: startTimeout,
		ControlPlaneStopTimeout:  startTimeout,
	}}
	if err := env.start(assets, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start the test apiserver: %w", err), env.Stop())
	}
	return env, nil
}

func (e *Env) start(assets string, o Options) error {
	var err error
	if e.Scheme, err = newScheme(); err != nil {
		return err
	}
	if e.environment.CRDs, err = crds(); err != nil {
		return err
	}
	flags := e.environment.ControlPlane.GetAPIServer().Configure()
	flags.Set("endpoint-reconciler-type", "none") // nobody looks the service "kubernetes" up
	for name, value := range o.Flags {
		flags.Set(name, value)
	}
	if o.Aggregation {
		if e.proxy, err = os.MkdirTemp("", "codb-proxy-"); err != nil {
			return err
		}
		more, err := aggregation(e.proxy)
		if err != nil {
			return err
		}
		for name, value := range more {
			flags.Set(name, value)
		}
	}
	if e.Config, err = e.environment.Start(); err != nil {
		return err
	}
	e.Config.QPS, e.Config.Burst = -1, -1
	if e.Client, err = client.New(e.Config, client.Options{Scheme: e.Scheme}); err != nil {
		return err
	}
	if o.Controllers {
		names := running
		if o.Workloads {
			names = append(slices.Clone(running), workloads...)
		}
		if e.controllers, err = startControllers(assets, e.environment, names); err != nil {
			return err
		}
	}
	if o.Admission {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		return e.Install(ctx, o)
	}
	return nil
}

// Stop ends every process and removes their files.
func (e *Env) Stop() error {
	err := e.controllers.stop()
	err = errors.Join(err, e.environment.Stop())
	if e.proxy != "" {
		err = errors.Join(err, os.RemoveAll(e.proxy))
	}
	return err
}

func newScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	return s, errors.Join(scheme.AddToScheme(s), apiextensionsv1.AddToScheme(s), consentv1.AddToScheme(s))
}

func crds() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	objects, err := config.Objects(config.Values{}, config.CRDs)
	if err != nil {
		return nil, err
	}
	list := make([]*apiextensionsv1.CustomResourceDefinition, len(objects))
	for i, u := range objects {
		list[i] = &apiextensionsv1.CustomResourceDefinition{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, list[i]); err != nil {
			return nil, fmt.Errorf("read %s: %w", u.GetName(), err)
		}
	}
	return list, nil
}

// assetsDir finds the binaries: KUBEBUILDER_ASSETS, or the cache that
// hack/cluster fills.
func assetsDir() (string, error) {
	dir, given := os.LookupEnv("KUBEBUILDER_ASSETS")
	if !given {
		cache := os.Getenv("CODB_CACHE")
		if cache == "" {
			base, err := cacheHome()
			if err != nil {
				return "", err
			}
			cache = filepath.Join(base, "codb")
		}
		dir = filepath.Join(cache, "k8s", version)
	}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("find %s for the tests: %w; run: make assets, or set KUBEBUILDER_ASSETS", name, err)
		}
	}
	return dir, nil
}

func cacheHome() (string, error) {
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".cache"), err
}

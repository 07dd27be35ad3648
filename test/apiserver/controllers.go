package apiserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// running are the controllers of Kubernetes that tests depend on.
var running = []string{
	"job-controller", "cronjob-controller", "garbage-collector-controller",
	"namespace-controller", "serviceaccount-controller", "ttl-after-finished-controller",
	"clusterrole-aggregation-controller", "validatingadmissionpolicy-status-controller",
}

// workloads are the controllers of the other kinds that make pods.
var workloads = []string{
	"deployment-controller", "replicaset-controller", "statefulset-controller", "daemonset-controller",
	"replicationcontroller-controller",
}

// controllers is a kube-controller-manager. Each controller acts under the
// service account of its own, as it does in a real cluster.
type controllers struct {
	command *exec.Cmd
	dir     string
}

func startControllers(assets string, e *envtest.Environment, names []string) (*controllers, error) {
	path := filepath.Join(assets, "kube-controller-manager")
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("find kube-controller-manager: %w; run: make assets", err)
	}
	user, err := e.AddUser(envtest.User{Name: "system:kube-controller-manager"}, nil)
	if err != nil {
		return nil, err
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "codb-test-")
	if err != nil {
		return nil, err
	}
	c := &controllers{dir: dir}
	ca := e.ControlPlane.GetAPIServer().SecureServing.CA
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "kubeconfig"), kubeconfig, 0o600),
		os.WriteFile(filepath.Join(dir, "ca.crt"), ca, 0o600))
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	logs, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	defer func() { _ = logs.Close() }()
	c.command = exec.Command(path,
		"--kubeconfig="+filepath.Join(dir, "kubeconfig"),
		"--controllers="+strings.Join(names, ","),
		"--use-service-account-credentials",
		"--service-account-private-key-file="+filepath.Join(e.ControlPlane.GetAPIServer().CertDir, "sa-signer.key"),
		"--root-ca-file="+filepath.Join(dir, "ca.crt"),
		"--leader-elect=false",   // it is alone, and so starts at once
		"--secure-port=0",        // nobody asks it anything
		"--min-resync-period=1h", // tests wait for events, not for the clock
	)
	c.command.Stdout, c.command.Stderr = logs, logs
	if err := c.command.Start(); err != nil {
		c.command = nil
		return nil, errors.Join(fmt.Errorf("start kube-controller-manager: %w", err), c.stop())
	}
	return c, nil
}

// stop is nothing to do for controllers that never started.
func (c *controllers) stop() error {
	if c == nil {
		return nil
	}
	if c.command != nil {
		_ = c.command.Process.Signal(os.Interrupt)
		timer := time.AfterFunc(startTimeout, func() { _ = c.command.Process.Kill() })
		_ = c.command.Wait() // how it ended is of no interest
		timer.Stop()
	}
	return os.RemoveAll(c.dir)
}

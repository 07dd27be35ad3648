package kueue_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// manager is Kueue's controller in a process of its own, with the rights that
// its own manifests give it.
type manager struct {
	binary  string
	probe   string // where it says that it is ready
	command *exec.Cmd
	dir     string
	ended   chan struct{}
}

// outside is what only a cluster with nodes can have.
var outside = []string{"Deployment", "Service", "APIService", "ConfigMap"}

func startKueue(ctx context.Context, binary, manifests string) (*manager, error) {
	dir, err := os.MkdirTemp("", "codb-kueue-")
	if err != nil {
		return nil, err
	}
	m := &manager{dir: dir}
	if err := m.start(ctx, binary, manifests); err != nil {
		return nil, errors.Join(fmt.Errorf("start Kueue: %w", err), m.log(), m.stop())
	}
	return m, nil
}

func (m *manager) start(ctx context.Context, binary, manifests string) error {
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	keys, err := newKeys("kueue-webhook-service.kueue-system.svc")
	if err != nil {
		return err
	}
	if err := install(ctx, manifests, ports[0], keys); err != nil {
		return err
	}
	kubeconfig, err := kubeconfigOf(ctx, "kueue-system", "kueue-controller-manager")
	if err != nil {
		return err
	}
	settings := fmt.Sprintf(`apiVersion: config.kueue.x-k8s.io/v1beta2
kind: Configuration
namespace: kueue-system
health: {healthProbeBindAddress: "127.0.0.1:%d"}
metrics: {bindAddress: "0"}
webhook: {host: 127.0.0.1, port: %d, certDir: %s}
leaderElection: {leaderElect: false}
featureGates: {VisibilityOnDemand: false}
integrations: {frameworks: [batch/job]}
`, ports[1], ports[0], m.dir)
	err = errors.Join(
		m.write("kubeconfig", kubeconfig), m.write("config.yaml", []byte(settings)),
		m.write("tls.crt", keys["tls.crt"]), m.write("tls.key", keys["tls.key"]))
	if err != nil {
		return err
	}
	m.binary, m.probe = binary, fmt.Sprintf("http://127.0.0.1:%d/readyz", ports[1])
	return m.launch(ctx)
}

// launch starts the process, for the first time or again.
func (m *manager) launch(ctx context.Context) error {
	logs, err := os.OpenFile(filepath.Join(m.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = logs.Close() }()
	m.ended = make(chan struct{})
	m.command = exec.Command(m.binary, "--config="+filepath.Join(m.dir, "config.yaml"), "--zap-log-level=2")
	m.command.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(m.dir, "kubeconfig"))
	m.command.Stdout, m.command.Stderr = logs, logs
	if err := m.command.Start(); err != nil {
		m.command = nil
		return err
	}
	go func() {
		_ = m.command.Wait() // how it ended is in its log
		close(m.ended)
	}()
	return m.ready(ctx, m.probe)
}

// install applies Kueue's own manifests, with webhooks that the apiserver
// reaches without a network of pods.
func install(ctx context.Context, manifests string, port int, keys map[string][]byte) error {
	out, err := exec.CommandContext(ctx, filepath.Join(env.Assets(), "kubectl"), "kustomize", manifests).Output()
	if err != nil {
		return fmt.Errorf("render Kueue's manifests: %w", err)
	}
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(out), 4096); ; {
		u := &unstructured.Unstructured{}
		if err := decoder.Decode(u); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if slices.Contains(outside, u.GetKind()) {
			continue
		}
		if u.GetKind() == "Secret" {
			data := map[string]any{}
			for name, value := range keys {
				data[name] = base64.StdEncoding.EncodeToString(value)
			}
			u.Object["data"] = data
		}
		redirect(u.Object, port, base64.StdEncoding.EncodeToString(keys["ca.crt"]))
		if err := env.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("test"), client.ForceOwnership); err != nil {
			return fmt.Errorf("apply %s %s: %w", u.GetKind(), u.GetName(), err)
		}
	}
}

// redirect makes every reference to Kueue's Service one to this machine.
func redirect(in any, port int, ca string) {
	switch node := in.(type) {
	case map[string]any:
		if c, ok := node["clientConfig"].(map[string]any); ok {
			if s, ok := c["service"].(map[string]any); ok {
				delete(c, "service")
				c["url"], c["caBundle"] = fmt.Sprintf("https://127.0.0.1:%d%s", port, s["path"]), ca
			}
		}
		for _, child := range node {
			redirect(child, port, ca)
		}
	case []any:
		for _, child := range node {
			redirect(child, port, ca)
		}
	}
}

// kubeconfigOf acts as a ServiceAccount, with a token of its own.
func kubeconfigOf(ctx context.Context, namespace, name string) ([]byte, error) {
	token := &authenticationv1.TokenRequest{}
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := env.Client.SubResource("token").Create(ctx, sa, token); err != nil {
		return nil, fmt.Errorf("get Kueue's token: %w", err)
	}
	return clientcmd.Write(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{"c": {
			Server: env.Config.Host, CertificateAuthorityData: env.Config.CAData,
		}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"u": {Token: token.Status.Token}},
		Contexts:       map[string]*clientcmdapi.Context{"c": {Cluster: "c", AuthInfo: "u"}},
		CurrentContext: "c",
	})
}

func (m *manager) write(name string, content []byte) error {
	return os.WriteFile(filepath.Join(m.dir, name), content, 0o600)
}

func (m *manager) ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if answer, err := http.DefaultClient.Do(req); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-m.ended:
			return errors.New("it has ended")
		case <-ctx.Done():
			return fmt.Errorf("it does not become ready: %w", ctx.Err())
		}
	}
}

// log is what Kueue said last of what it could not do, as an error.
func (m *manager) log() error {
	raw, err := os.ReadFile(filepath.Join(m.dir, "log"))
	if err != nil {
		return err
	}
	return fmt.Errorf("Kueue's log ends so: %s", raw[max(0, len(raw)-8192):])
}

// kill ends Kueue at once (-9).
func (m *manager) kill() {
	if m.command != nil {
		_ = m.command.Process.Kill()
		<-m.ended
		m.command = nil
	}
}

func (m *manager) stop() error {
	m.kill()
	return os.RemoveAll(m.dir)
}

func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

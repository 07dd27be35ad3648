package crash

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/test/fleet"
)

// codb is a process of codb that is killed and started again on the same files.
type codb struct {
	*testing.T
	dir        string
	kubeconfig string
	args       []string
	command    *exec.Cmd
	ended      chan struct{}
	kills      int
}

// newCodb builds and installs codb, and starts it standalone.
func newCodb(t *testing.T) *codb {
	t.Helper()
	c := install(t)
	c.args = []string{"standalone", "--webhook-port=0", "--metrics-address=0", "--probe-address=0", "--data=" + c.path("ledger")}
	c.start()
	t.Cleanup(func() { c.kill() })
	c.baseline()
	return c
}

// install builds codb and puts into the cluster what it needs.
func install(t *testing.T) *codb {
	t.Helper()
	c := &codb{T: t, dir: t.TempDir()}
	c.kubeconfig = c.path("kubeconfig")
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["test"] = &clientcmdapi.Cluster{Server: env.Config.Host, CertificateAuthorityData: env.Config.CAData}
	cfg.AuthInfos["admin"] = &clientcmdapi.AuthInfo{ClientCertificateData: env.Config.CertData, ClientKeyData: env.Config.KeyData}
	cfg.Contexts["test"], cfg.CurrentContext = &clientcmdapi.Context{Cluster: "test", AuthInfo: "admin"}, "test"
	if err := clientcmd.WriteToFile(*cfg, c.kubeconfig); err != nil {
		t.Fatal(err)
	}
	c.run("go", "build", "-o", c.path("codb"), "github.com/codb-dev/codb/cmd/codb")
	c.run(c.path("codb"), "install")
	return c
}

// baseline applies the policies, which a running codb must admit.
func (c *codb) baseline() {
	c.Helper()
	fleet.Until(c.T, "codb takes its baseline policy", time.Minute, func() error {
		out, err := c.output(c.path("codb"), "install", "--policy")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

func (c *codb) path(name string) string { return filepath.Join(c.dir, name) }

func (c *codb) output(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	return cmd.CombinedOutput()
}

func (c *codb) run(name string, args ...string) {
	c.Helper()
	if out, err := c.output(name, args...); err != nil {
		c.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// start starts it, again and again if need be: it ends by itself where it finds
// no apiserver.
func (c *codb) start() {
	logs, err := os.OpenFile(c.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.Error(err)
		return
	}
	defer func() { _ = logs.Close() }()
	c.command = exec.Command(c.path("codb"), c.args...)
	c.command.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	c.command.Stdout, c.command.Stderr = logs, logs
	if err := c.command.Start(); err != nil {
		c.Error(err)
		return
	}
	ended, command := make(chan struct{}), c.command
	c.ended = ended
	go func() {
		_ = command.Wait() // how it ended is in its log
		close(ended)
	}()
}

// kill ends it as a node that dies would.
func (c *codb) kill() {
	_ = c.command.Process.Kill()
	<-c.ended
}

// again kills and starts. The lease of the dead is taken away: nobody waits for
// it to run out.
func (c *codb) again() {
	c.kill()
	c.kills++
	c.unlease()
	c.start()
}

func (c *codb) unlease() {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "codb-operator"}}
	_ = env.Client.Delete(context.Background(), lease)
}

// revive starts it if it has ended by itself.
func (c *codb) revive() {
	select {
	case <-c.ended:
		c.unlease()
		c.start()
	default:
	}
}

func (c *codb) log() string {
	raw, _ := os.ReadFile(c.path("log"))
	return string(raw[max(0, len(raw)-3000):])
}

// control is a process of the control plane: a child of this one.
type control struct {
	*testing.T
	name string
	pid  int
	args []string
	mine *exec.Cmd
}

// controlPlane finds the process among this one's children.
func controlPlane(t *testing.T, name string) *control {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := bytes.Cut(raw, []byte(") "))
		fields := strings.Fields(string(rest))
		if len(fields) < 2 || fields[1] != strconv.Itoa(os.Getpid()) || !bytes.Contains(raw, []byte("("+name+")")) {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			t.Fatal(err)
		}
		c := &control{T: t, name: name, pid: pid, args: strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")}
		t.Cleanup(c.stop)
		return c
	}
	t.Fatalf("%s is no child of this process", name)
	return nil
}

// again kills the process and starts it with the same arguments.
func (c *control) again() {
	p, err := os.FindProcess(c.pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		c.Errorf("kill %s: %v", c.name, err)
		return
	}
	if c.mine != nil {
		_ = c.mine.Wait()
	}
	// Its port and its files are free once it is gone, whoever waits for it.
	for p.Signal(syscall.Signal(0)) == nil {
		time.Sleep(10 * time.Millisecond)
	}
	c.mine = exec.Command(c.args[0], c.args[1:]...)
	if err := c.mine.Start(); err != nil {
		c.Errorf("start %s: %v", c.name, err)
		return
	}
	c.pid = c.mine.Process.Pid
}

func (c *control) stop() {
	if c.mine != nil {
		_ = c.mine.Process.Kill()
		_ = c.mine.Wait()
	}
}

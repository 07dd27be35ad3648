package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Codb is a codb standalone in a process of its own, built from this module:
// it can be killed like any other.
type Codb struct {
	command *exec.Cmd
	dir     string
	ended   chan struct{}
	ready   string
}

// StartCodb builds and installs codb, starts it with the arguments, and waits
// until it is ready and its baseline policy is in force.
func (e *Env) StartCodb(ctx context.Context, args ...string) (*Codb, error) {
	dir, err := os.MkdirTemp("", "codb-test-")
	if err != nil {
		return nil, err
	}
	c := &Codb{dir: dir, ended: make(chan struct{})}
	if err := c.start(ctx, e, args); err != nil {
		return nil, errors.Join(fmt.Errorf("start codb: %w", err), c.Log(), c.Kill())
	}
	return c, nil
}

func (c *Codb) start(ctx context.Context, e *Env, args []string) error {
	kubeconfig, err := e.Kubeconfig("codb-installer", "system:masters")
	if err != nil {
		return err
	}
	path, binary := filepath.Join(c.dir, "kubeconfig"), filepath.Join(c.dir, "codb")
	if err := os.WriteFile(path, kubeconfig, 0o600); err != nil {
		return err
	}
	if err := run(ctx, path, "go", "build", "-o", binary, "github.com/codb-dev/codb/cmd/codb"); err != nil {
		return err
	}
	kueue := "--kueue-user=" + e.values.Kueue
	if err := run(ctx, path, binary, "install", kueue, fmt.Sprint("--consents-in-database=", e.values.Elsewhere)); err != nil {
		return err
	}
	probes, err := freeAddress()
	if err != nil {
		return err
	}
	logs, err := os.Create(filepath.Join(c.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = logs.Close() }()
	c.ready = "http://" + probes + "/readyz"
	c.command = exec.Command(binary, append([]string{
		"standalone", kueue, "--webhook-port=0", "--metrics-address=0", "--probe-address=" + probes, "--data=" + filepath.Join(c.dir, "ledger"),
	}, args...)...)
	c.command.Env = append(os.Environ(), "KUBECONFIG="+path)
	c.command.Stdout, c.command.Stderr = logs, logs
	if err := c.command.Start(); err != nil {
		c.command = nil
		return err
	}
	go func() {
		_ = c.command.Wait() // how it ended is in its log
		close(c.ended)
	}()
	if err := c.await(ctx, c.Ready); err != nil {
		return err
	}
	return c.await(ctx, func(ctx context.Context) error { return run(ctx, path, binary, "install", "--policy") })
}

func run(ctx context.Context, kubeconfig, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(name), args[0], err, bytes.TrimSpace(out))
	}
	return nil
}

// Pid is that of codb's process.
func (c *Codb) Pid() int { return c.command.Process.Pid }

// Command is another codb beside this one, of the same installation.
func (c *Codb) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.dir, "codb"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(c.dir, "kubeconfig"))
	return cmd
}

// Ready is nil while codb says that it is.
func (c *Codb) Ready(ctx context.Context) error { return ready(ctx, c.ready) }

func ready(ctx context.Context, at string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("codb is not ready: %s", answer.Status)
	}
	return nil
}

// await asks until the answer is no error, codb ends, or time is up: the
// context's, if it has an end.
func (c *Codb) await(ctx context.Context, ask func(context.Context) error) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, startTimeout)
		defer cancel()
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-c.ended:
			return errors.New("codb has ended")
		case <-ctx.Done():
			return err
		}
	}
}

// Log is what codb said last, as an error.
func (c *Codb) Log() error {
	raw, err := os.ReadFile(filepath.Join(c.dir, "log"))
	if err != nil {
		return err
	}
	return fmt.Errorf("codb's log ends so: %s", raw[max(0, len(raw)-4096):])
}

// Kill ends codb at once (-9), as a node that dies would, and removes its
// files. A second Kill has nothing to do.
func (c *Codb) Kill() error {
	if c.command != nil {
		_ = c.command.Process.Kill()
		<-c.ended
		c.command = nil
	}
	return os.RemoveAll(c.dir)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

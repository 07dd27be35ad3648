package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// component is one process of a cluster. It outlives the command that started
// it; its pid is in run/NAME.pid and its output in log/NAME.log.
type component struct {
	name   string
	argv   []string
	inNode bool   // runs in the namespaces of the node
	ready  string // URL that answers 200 when it is
}

// start runs a component unless it runs already.
func (c *Cluster) start(p component) error {
	if c.pid(p.name) != 0 {
		return nil
	}
	argv := p.argv
	if p.inNode {
		argv = append(c.enterNode(), argv...)
	}
	return c.spawn(p.name, argv, &syscall.SysProcAttr{Setsid: true})
}

func (c *Cluster) spawn(name string, argv []string, attr *syscall.SysProcAttr) error {
	log, err := os.OpenFile(c.logFile(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = c.dir, log, log, attr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // why it ended is in its log
	}()
	if err := os.WriteFile(c.pidFile(name), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		return err
	}
	// For a moment after its start a process has no command line, by which we know it.
	for c.pid(name) == 0 {
		select {
		case <-done:
			return fmt.Errorf("%s ended at once; its log %s says:\n%s", name, c.logFile(name), c.tail(name))
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

func (c *Cluster) pidFile(name string) string { return c.path("run", name+".pid") }
func (c *Cluster) logFile(name string) string { return c.path("log", name+".log") }

// pid is the process of a component, or 0 when it does not run. A pid that the
// system has given to another process since does not count.
func (c *Cluster) pid(name string) int {
	data, err := os.ReadFile(c.pidFile(name))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(string(data))
	if err != nil || pid <= 1 || !c.owns(pid) {
		return 0
	}
	return pid
}

// owns says whether a process is one of this cluster: every command line of a
// cluster names its folder.
func (c *Cluster) owns(pid int) bool {
	if runtime.GOOS != "linux" {
		return syscall.Kill(pid, 0) == nil
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	for arg := range bytes.SplitSeq(line, []byte{0}) {
		if i := bytes.Index(arg, []byte(c.dir)); i >= 0 {
			if rest := arg[i+len(c.dir):]; len(rest) == 0 || rest[0] == '/' { // codb is not codb-2
				return true
			}
		}
	}
	return false
}

// kill ends a component the hard way: nothing in a cluster that is thrown away
// needs a goodbye, and tests want crashes. The whole process group goes,
// because a component in the node has nsenter as its parent.
func (c *Cluster) kill(name string) error {
	pid := c.pid(name)
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill %s (pid %d): %w", name, pid, err)
	}
	for deadline := time.Now().Add(20 * time.Second); !ended(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("kill %s (pid %d): it still runs after 20s; look at /proc/%d/stack", name, pid, pid)
		}
	}
	return os.Remove(c.pidFile(name))
}

// ended says whether a killed process has let go of its files and ports. It may
// stay as a zombie where the first process of the machine collects none.
func ended(pid int) bool {
	if runtime.GOOS != "linux" {
		return syscall.Kill(pid, 0) != nil
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid)) // they share the files
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z") && len(threads) <= 1
}

// waitReady waits until a component answers. When it dies or the time is over,
// the error carries the end of its log.
func (c *Cluster) waitReady(ctx context.Context, p component) error {
	for {
		err := probe(ctx, p.ready)
		if err == nil {
			return nil
		}
		switch {
		case c.pid(p.name) == 0:
			return fmt.Errorf("%s ended; its log %s says:\n%s", p.name, c.logFile(p.name), c.tail(p.name))
		case ctx.Err() != nil:
			return fmt.Errorf("%s is not ready (%w); raise --wait on a slow machine; its log %s says:\n%s",
				p.name, err, c.logFile(p.name), c.tail(p.name))
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// pause sleeps, but not beyond the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// probes go to this machine only. The health pages of the controllers have
// certificates that they sign themselves.
var probes = http.Client{
	Timeout:   2 * time.Second,
	Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
}

func probe(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := probes.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}

// tail is the end of a component's log.
func (c *Cluster) tail(name string) string {
	data, err := os.ReadFile(c.logFile(name))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-15):], "\n  ")
}

// orphans are processes of this cluster that no pid file names any more, for
// example because up was interrupted between two lines.
func (c *Cluster) orphans() []int {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var pids []int
	for _, l := range lines {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(l)))
		if err == nil && pid > 1 && pid != os.Getpid() && c.owns(pid) && c.executes(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// executes tells the programs of a cluster from an editor or a pager that has
// one of its files open.
func (c *Cluster) executes(pid int) bool {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return false
	}
	if filepath.Dir(exe) == c.assets {
		return filepath.Base(exe) != "kubectl"
	}
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return slices.Contains([]string{"containerd", "nsenter"}, filepath.Base(exe)) ||
		bytes.Contains(line, []byte("\x00"+nodeInitVerb+"\x00"))
}

// output runs a command to its end; the error says what it printed.
func output(argv ...string) (string, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

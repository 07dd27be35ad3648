package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// nodeMounts are standard folders that a node writes to. In its namespace each
// is a folder of the cluster.
var nodeMounts = []string{"/var/lib", "/var/log"}

// nodeTunables are what the kubelet wants to read in /proc/sys. They belong to
// the whole machine, so the node sees files with these values instead.
var nodeTunables = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// spawnNode starts the first process of the node: this program again.
func (c *Cluster) spawnNode() error {
	for _, hidden := range append([]string{"/run", "/proc"}, nodeMounts...) {
		for _, dir := range []string{c.dir, c.assets} {
			if dir == hidden || strings.HasPrefix(dir, hidden+"/") {
				return fmt.Errorf("folder %s: a node cannot use folders below %s; set CODB_STATE and CODB_CACHE to others", dir, hidden)
			}
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return c.spawn(nodeHolder, []string{self, nodeInitVerb, c.dir, c.nodeName()}, &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS,
	})
}

// nodeInit sets up the namespaces from within and then collects the processes
// that lost their parent, as the first process of a system does.
func nodeInit(args []string) error {
	if len(args) != 2 || os.Getpid() != 1 {
		return errors.New("this verb is for cluster up only")
	}
	dir, name := args[0], args[1]
	children := make(chan os.Signal, 16)
	signal.Notify(children, syscall.SIGCHLD)
	if err := nodeView(dir); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return err
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("start the loopback interface: %w: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "node", "ready"), nil, 0o600); err != nil {
		return err
	}
	for range children {
		for pid := 1; pid > 0; {
			pid, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		}
	}
	return nil
}

// nodeView arranges the file system that the node sees.
func nodeView(dir string) error {
	const tree = syscall.MS_REC
	type mount struct {
		source, target, kind string
		flags                uintptr
	}
	mounts := []mount{
		{"", "/", "", tree | syscall.MS_SLAVE},  // nothing here reaches the host,
		{"", "/", "", tree | syscall.MS_SHARED}, // and volumes may reach the pods
		{"proc", "/proc", "proc", 0},
		{"run", "/run", "tmpfs", 0},
	}
	for _, standard := range nodeMounts {
		mounts = append(mounts, mount{filepath.Join(dir, "node", standard), standard, "", syscall.MS_BIND})
	}
	for _, m := range mounts {
		if err := syscall.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.source, m.target, err)
		}
	}
	if err := os.Mkdir("/run/sys", 0o755); err != nil {
		return err
	}
	for name, value := range nodeTunables {
		file := filepath.Join("/run/sys", strings.ReplaceAll(name, "/", "."))
		if err := os.WriteFile(file, []byte(value), 0o644); err != nil {
			return err
		}
		if err := syscall.Mount(file, filepath.Join("/proc/sys", name), "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("hide /proc/sys/%s: %w", name, err)
		}
	}
	return nil
}

// onOverlay says whether a folder is on an overlay, as everything in a
// container is.
func onOverlay(dir string) bool {
	const overlay = 0x794c7630
	var fs syscall.Statfs_t
	return syscall.Statfs(dir, &fs) == nil && fs.Type == overlay
}

const cgroups = "/sys/fs/cgroup"

// cgroupFolders are the folder of that name in each hierarchy (version 1), or
// in the one of version 2.
func cgroupFolders(id string) []string {
	if _, err := os.Stat(filepath.Join(cgroups, "cgroup.controllers")); err == nil {
		return []string{filepath.Join(cgroups, id)}
	}
	roots, _ := filepath.Glob(filepath.Join(cgroups, "*", "cgroup.procs"))
	var folders []string
	for _, r := range roots {
		folders = append(folders, filepath.Join(filepath.Dir(r), id))
	}
	return folders
}

// makeCgroups makes the folder under which the kubelet keeps its pods; it
// refuses to start without.
func makeCgroups(id string) error {
	if controllers, err := os.ReadFile(filepath.Join(cgroups, "cgroup.controllers")); err == nil {
		for _, name := range strings.Fields(string(controllers)) {
			// Some cannot be given to children everywhere; the kubelet says which it misses.
			_ = os.WriteFile(filepath.Join(cgroups, "cgroup.subtree_control"), []byte("+"+name), 0)
		}
	}
	for _, dir := range cgroupFolders(id) {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make cgroup %s: %w", dir, err)
		}
	}
	return nil
}

// removeCgroups removes what the pods of a node had, from the leaves up.
func removeCgroups(id string) error {
	for _, root := range cgroupFolders(id) {
		var dirs []string
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil // it vanishes while we look
		})
		if err != nil {
			return err
		}
		slices.Reverse(dirs)
		for _, dir := range dirs {
			if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove cgroup: %w", err)
			}
		}
	}
	return nil
}

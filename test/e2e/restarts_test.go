package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/test/fleet"
)

// everythingRestarts kills, in turn, all that a release depends on, while
// campaigns come and customers withdraw and come back. In the end each Job that
// is let go has one pod, and each that is held has none.
func (c *cluster) everythingRestarts(t *testing.T) {
	const campaigns, leavers, flips = 24, 8, 24
	cfg, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(scheme.Scheme); err != nil {
		t.Fatal(err)
	}
	log.SetLogger(logr.Discard())
	f := fleet.New(t, cfg, scheme.Scheme, marketers, v1alpha1.JobTemplate{
		Image: "localhost/codb-busy:dev", Command: []string{"/busy", "sleep", "30m"},
		Resources: &v1alpha1.Resources{CPU: "5m", Memory: "32Mi"},
	}, leavers)
	ctx, stop := context.WithCancel(t.Context())
	watching, working := sync.WaitGroup{}, sync.WaitGroup{}
	watching.Go(func() { f.Watch(ctx) })
	defer watching.Wait()
	defer working.Wait()
	defer stop()
	working.Go(func() {
		for i := range campaigns {
			f.Submit(i)
			fleet.Pause(ctx, 6*time.Second)
		}
	})
	working.Go(func() { f.Flip(ctx, flips, 6*time.Second) })

	for _, kill := range []func(*testing.T){
		func(t *testing.T) { c.killPod(t, c.leader(t, "")) },
		func(t *testing.T) { c.control(t, "restart-component", "--name", c.name, "kube-apiserver") },
		func(t *testing.T) { c.killPod(t, "codb-gate-0") },
		func(t *testing.T) { c.control(t, "restart-component", "--name", c.name, "etcd") },
		func(t *testing.T) { c.control(t, "restart-component", "--name", c.name, "kubelet") },
		c.killAllOfCodb,
	} {
		fleet.Pause(ctx, 12*time.Second)
		f.Answers()
		kill(t)
	}
	working.Wait()
	for _, j := range f.Rest(campaigns, 3*time.Minute, func() {}) {
		want := "1"
		if *j.Spec.Suspend {
			want = "0"
		}
		c.until(t, "pods of "+j.Name, want, c.pods(j.Name))
	}
	t.Logf("%d campaigns, %d flips: %d let go, %d wrong", campaigns, flips, f.Released(), f.Wrong())
}

func (c *cluster) killAllOfCodb(t *testing.T) {
	pods := []string{"-n", "codb-system", "pods", "-l", "app.kubernetes.io/part-of=codb"}
	c.kubectl(t, append([]string{"wait", "--for=condition=Ready", "--timeout=90s"}, pods...)...)
	for _, pod := range strings.Fields(c.kubectl(t, append([]string{"get", "-o", "jsonpath={.items[*].metadata.name}"}, pods...)...)) {
		c.killPod(t, pod)
	}
}

// killPod kills the processes of the pod's container, as a lack of memory
// would. The kubelet starts it again, in the same pod.
func (c *cluster) killPod(t *testing.T, pod string) {
	t.Helper()
	id := c.kubectl(t, "-n", "codb-system", "get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].containerID}")
	_, id, _ = strings.Cut(id, "://")
	if len(id) != 64 {
		t.Fatalf("pod %s has the container %q", pod, id)
	}
	pids, err := processesOf(id)
	if err != nil || len(pids) == 0 {
		t.Fatalf("find the processes of pod %s: %d found, %v", pod, len(pids), err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatalf("kill process %d of pod %s: %v", pid, pod, err)
		}
	}
}

// processesOf are those in a container's own control group.
func processesOf(container string) ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, file := range files {
		groups, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || !strings.Contains(string(groups), container) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

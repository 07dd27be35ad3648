package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Codb, the apiserver and etcd are killed at random moments while campaigns
// come and customers withdraw and come back. All the time: whatever runs has a
// decision that allowed everybody, and no Job is let go twice. In the end: what
// is allowed ran, what was withdrawn has stopped, and no Job is lost or double.
func TestKilledAtRandomMoments(t *testing.T) {
	fresh(t)
	jobs, flips, kills := scale(60, 1000), scale(10, 100), scale(10, 40)
	w := &fleet{T: t, ns: acme(t), released: map[types.UID]bool{}, names: map[string]types.UID{}}
	c := newCodb(t)
	api, etcd := controlPlane(t, "kube-apiserver"), controlPlane(t, "etcd")
	ctx, stop := context.WithCancel(t.Context())
	watching := sync.WaitGroup{}
	watching.Go(func() { w.watch(ctx) })
	defer watching.Wait()
	defer stop()

	began := time.Now()
	working := sync.WaitGroup{}
	working.Go(func() {
		for i := range jobs {
			w.persist(customer(w.person(i), w.value(i)))
			w.persist(campaign(w.ns, w.name(i), w.value(i), &v1alpha1.Workload{Job: &v1alpha1.JobTemplate{Image: "sender", Command: []string{"/sender"}}}))
		}
	})
	// The first tenth of the customers leaves for good, or goes and comes back:
	// odd ones have the last word no.
	working.Go(func() {
		for range flips {
			i := rand.N(max(1, jobs/10))
			pause(ctx, 600*time.Millisecond)
			w.says(i, rand.N(2) == 0)
		}
		for i := range max(1, jobs/10) {
			w.says(i, i%2 == 1)
		}
	})
	finished := make(chan struct{})
	go func() { working.Wait(); close(finished) }()
	for n, busy := 0, true; (busy || n < kills) && !t.Failed(); n++ {
		pause(ctx, 6*time.Second)
		switch {
		case n%8 == 4:
			api.again()
			w.answers()
		case n%8 == 7:
			etcd.again()
			w.answers()
		default:
			c.again()
		}
		c.revive()
		select {
		case <-finished:
			busy = false
		default:
		}
	}
	w.rest(c, jobs)
	t.Logf("%d Jobs, %d flips, codb killed %d times, the apiserver and etcd %d times, in %s: %d let go, %d wrong",
		jobs, flips, c.kills, kills/4, time.Since(began).Round(time.Second), len(w.released), w.wrong)
	if t.Failed() {
		t.Log(c.log())
	}
}

// fleet is all the campaigns.
type fleet struct {
	*testing.T
	ns string

	mu       sync.Mutex
	released map[types.UID]bool
	names    map[string]types.UID
	wrong    int
}

func (w *fleet) person(i int) string { return fmt.Sprintf("c-crash-%04d", i) }
func (w *fleet) value(i int) string  { return fmt.Sprintf("v-%04d", i) }
func (w *fleet) name(i int) string   { return fmt.Sprintf("n-%04d", i) }

func (w *fleet) bad(format string, args ...any) {
	w.Helper()
	w.mu.Lock()
	w.wrong++
	w.mu.Unlock()
	w.Errorf(format, args...)
}

// persist creates it, however long the apiserver is away.
func (w *fleet) persist(o client.Object) {
	awaiting(w.T, "make "+o.GetName(), time.Minute, func() error {
		if err := env.Client.Create(context.Background(), o); !apierrors.IsAlreadyExists(err) {
			return err
		}
		return nil
	})
}

func (w *fleet) says(i int, no bool) {
	o := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.CustomersNamespace, Name: w.person(i)}}
	patch := `{"spec":{"optOut":null}}`
	if no {
		patch = fmt.Sprintf(`{"spec":{"optOut":{"since":%q}}}`, time.Now().UTC().Format(time.RFC3339))
	}
	awaiting(w.T, "change "+o.Name, time.Minute, func() error {
		return env.Client.Patch(context.Background(), o, client.RawPatch(types.MergePatchType, []byte(patch)))
	})
}

// answers waits until the apiserver is back.
func (w *fleet) answers() {
	awaiting(w.T, "the apiserver answers", time.Minute, func() error {
		return env.Client.List(context.Background(), &v1alpha1.BrandList{})
	})
}

// watch looks at every change of a Job, and at all of them after a break.
func (w *fleet) watch(ctx context.Context) {
	c, err := client.NewWithWatch(env.Config, client.Options{Scheme: env.Scheme})
	if err != nil {
		w.Error(err)
		return
	}
	for ctx.Err() == nil {
		var list batchv1.JobList
		if err := c.List(ctx, &list, client.InNamespace(w.ns)); err != nil {
			pause(ctx, 200*time.Millisecond)
			continue
		}
		for i := range list.Items {
			w.see(&list.Items[i])
		}
		changes, err := c.Watch(ctx, &batchv1.JobList{}, client.InNamespace(w.ns), &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.ResourceVersion}})
		if err != nil {
			continue
		}
		for change := range changes.ResultChan() {
			if j, ok := change.Object.(*batchv1.Job); ok {
				w.see(j)
			}
		}
		changes.Stop()
	}
}

// see checks one state of a Job. It is born suspended in generation 1, let go in
// 2 and stopped in 3: a fourth would be a second release.
func (w *fleet) see(j *batchv1.Job) {
	name := j.Annotations[v1alpha1.AnnotationDecision]
	w.mu.Lock()
	known := w.released[j.UID]
	if had, ok := w.names[j.Name]; ok && had != j.UID {
		w.mu.Unlock()
		w.bad("Job %s was made twice", j.Name)
		return
	}
	w.names[j.Name] = j.UID
	w.released[j.UID] = known || name != ""
	if name == "" {
		delete(w.released, j.UID)
	}
	w.mu.Unlock()
	if j.Generation > 3 {
		w.bad("Job %s is in generation %d: it was let go twice", j.Name, j.Generation)
	}
	if !*j.Spec.Suspend && name == "" {
		w.bad("Job %s runs without evidence", j.Name)
	}
	if name == "" || known {
		return
	}
	d := &v1alpha1.CampaignDecision{}
	awaiting(w.T, "read decision "+name, time.Minute, func() error {
		err := env.Client.Get(context.Background(), types.NamespacedName{Namespace: w.ns, Name: name}, d)
		if apierrors.IsNotFound(err) {
			w.bad("Job %s was let go on decision %s, which does not exist", j.Name, name)
			return nil
		}
		return err
	})
	if n := d.Spec.Counts; d.Spec.Verdict != v1alpha1.CampaignAllowed || n == nil || n.Targeted == 0 || n.Allowed != n.Targeted || d.Spec.Campaign.Name != j.Name {
		w.bad("Job %s was let go on %s of campaign %s: %+v", j.Name, d.Spec.Verdict, d.Spec.Campaign.Name, n)
	}
}

// rest waits until every campaign is as its customer said last.
func (w *fleet) rest(c *codb, jobs int) {
	for i := 0; i < jobs && !w.Failed(); i++ {
		awaiting(w.T, "campaign "+w.name(i)+" is as it should be", time.Minute, func() error {
			c.revive()
			j := &batchv1.Job{}
			if err := env.Client.Get(context.Background(), types.NamespacedName{Namespace: w.ns, Name: w.name(i)}, j); err != nil {
				return err
			}
			leaver, out := i < max(1, jobs/10), i%2 == 1
			_, ran := j.Annotations[v1alpha1.AnnotationDecision]
			switch {
			case leaver && out && !*j.Spec.Suspend:
				return errors.New("the customer withdrew, and it runs")
			case leaver && !out && !ran:
				return errors.New("the customer came back, and it never ran")
			case !leaver && *j.Spec.Suspend:
				return fmt.Errorf("it is allowed, and does not run: %v", j.Annotations)
			}
			return nil
		})
	}
}

// awaiting asks until there is no error.
func awaiting(t *testing.T, what string, most time.Duration, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(most)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("waited in vain: %s: %v", what, err)
			return
		}
		time.Sleep(100 * time.Millisecond) // there is nothing to watch: what would tell may be dead
	}
}

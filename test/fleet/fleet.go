// Package fleet sends many campaigns into a cluster, each to one customer who
// may think again, and watches that nothing is let go which was not allowed,
// nothing twice, and that nothing allowed is forgotten. It does not know what
// is killed meanwhile.
package fleet

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
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// patience is for an apiserver that is away.
const patience = time.Minute

// Fleet is all the campaigns of a namespace. The first Leavers of their
// customers leave for good, or go and come back: odd ones have the last word no.
type Fleet struct {
	*testing.T
	Leavers int

	client    client.WithWatch
	namespace string
	sender    v1alpha1.JobTemplate

	mu       sync.Mutex
	released map[types.UID]bool
	names    map[string]types.UID
	wrong    int
}

// New makes a fleet that has nothing in it yet.
func New(t *testing.T, cfg *rest.Config, scheme *runtime.Scheme, namespace string, sender v1alpha1.JobTemplate, leavers int) *Fleet {
	t.Helper()
	c, err := client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return &Fleet{
		T: t, Leavers: leavers, client: c, namespace: namespace, sender: sender,
		released: map[types.UID]bool{}, names: map[string]types.UID{},
	}
}

// Name is that of a campaign and of its Job.
func (f *Fleet) Name(i int) string   { return fmt.Sprintf("n-%04d", i) }
func (f *Fleet) person(i int) string { return fmt.Sprintf("c-fleet-%04d", i) }
func (f *Fleet) value(i int) string  { return fmt.Sprintf("v-%04d", i) }

// Released is how many Jobs were let go.
func (f *Fleet) Released() int { f.mu.Lock(); defer f.mu.Unlock(); return len(f.released) }

// Wrong is how many things were seen that must not be.
func (f *Fleet) Wrong() int { f.mu.Lock(); defer f.mu.Unlock(); return f.wrong }

func (f *Fleet) bad(format string, args ...any) {
	f.Helper()
	f.mu.Lock()
	f.wrong++
	f.mu.Unlock()
	f.Errorf(format, args...)
}

// Submit makes a customer who said yes, and the campaign to them.
func (f *Fleet) Submit(i int) {
	f.persist(Customer(f.person(i), f.value(i)))
	f.persist(Campaign(f.namespace, f.Name(i), f.value(i), &v1alpha1.Workload{Job: &f.sender}))
}

// persist creates it, however long the apiserver is away.
func (f *Fleet) persist(o client.Object) {
	Until(f.T, "make "+o.GetName(), patience, func() error {
		if err := f.client.Create(context.Background(), o); !apierrors.IsAlreadyExists(err) {
			return err
		}
		return nil
	})
}

// Flip lets leavers change their minds, so many times, with a pause of up to
// most after each, and then say their last word.
func (f *Fleet) Flip(ctx context.Context, flips int, most time.Duration) {
	for range flips {
		i := rand.N(f.Leavers)
		Pause(ctx, most)
		f.says(i, rand.N(2) == 0)
	}
	for i := range f.Leavers {
		f.says(i, f.left(i))
	}
}

func (f *Fleet) left(i int) bool { return i < f.Leavers && i%2 == 1 }

func (f *Fleet) says(i int, no bool) {
	o := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.CustomersNamespace, Name: f.person(i)}}
	patch := `{"spec":{"optOut":null}}`
	if no {
		patch = fmt.Sprintf(`{"spec":{"optOut":{"since":%q}}}`, time.Now().UTC().Format(time.RFC3339))
	}
	Until(f.T, "change "+o.Name, patience, func() error {
		return f.client.Patch(context.Background(), o, client.RawPatch(types.MergePatchType, []byte(patch)))
	})
}

// Answers waits until the apiserver is back.
func (f *Fleet) Answers() {
	Until(f.T, "the apiserver answers", patience, func() error {
		return f.client.List(context.Background(), &v1alpha1.BrandList{})
	})
}

// Watch looks at every change of a Job, and at all of them after a break.
func (f *Fleet) Watch(ctx context.Context) {
	for ctx.Err() == nil {
		var list batchv1.JobList
		if err := f.client.List(ctx, &list, client.InNamespace(f.namespace)); err != nil {
			Pause(ctx, 200*time.Millisecond)
			continue
		}
		for i := range list.Items {
			f.see(&list.Items[i])
		}
		changes, err := f.client.Watch(ctx, &batchv1.JobList{}, client.InNamespace(f.namespace), &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.ResourceVersion}})
		if err != nil {
			continue
		}
		for change := range changes.ResultChan() {
			if j, ok := change.Object.(*batchv1.Job); ok {
				f.see(j)
			}
		}
		changes.Stop()
	}
}

// see checks one state of a Job. It is born suspended in generation 1, let go in
// 2 and stopped in 3: a fourth would be a second release.
func (f *Fleet) see(j *batchv1.Job) {
	name := j.Annotations[v1alpha1.AnnotationDecision]
	f.mu.Lock()
	known := f.released[j.UID]
	if had, ok := f.names[j.Name]; ok && had != j.UID {
		f.mu.Unlock()
		f.bad("Job %s was made twice", j.Name)
		return
	}
	f.names[j.Name] = j.UID
	if name != "" {
		f.released[j.UID] = true
	} else {
		delete(f.released, j.UID)
	}
	f.mu.Unlock()
	if j.Generation > 3 {
		f.bad("Job %s is in generation %d: it was let go twice", j.Name, j.Generation)
	}
	if !*j.Spec.Suspend && name == "" {
		f.bad("Job %s runs without evidence", j.Name)
	}
	if name == "" || known {
		return
	}
	d := &v1alpha1.CampaignDecision{}
	Until(f.T, "read decision "+name, patience, func() error {
		err := f.client.Get(context.Background(), types.NamespacedName{Namespace: f.namespace, Name: name}, d)
		if apierrors.IsNotFound(err) {
			f.bad("Job %s was let go on decision %s, which does not exist", j.Name, name)
			return nil
		}
		return err
	})
	if n := d.Spec.Counts; d.Spec.Verdict != v1alpha1.CampaignAllowed || n == nil || n.Targeted == 0 || n.Allowed != n.Targeted || d.Spec.Campaign.Name != j.Labels[v1alpha1.LabelCampaign] {
		f.bad("Job %s was let go on %s of campaign %s: %+v", j.Name, d.Spec.Verdict, d.Spec.Campaign.Name, n)
	}
}

// Rest waits until each of the campaigns is as its customer said last, and
// returns their Jobs. Before each look it revives what may have ended.
func (f *Fleet) Rest(campaigns int, most time.Duration, revive func()) []batchv1.Job {
	jobs := make([]batchv1.Job, campaigns)
	for i := 0; i < campaigns && !f.Failed(); i++ {
		Until(f.T, "campaign "+f.Name(i)+" is as it should be", most, func() error {
			revive()
			if err := f.client.Get(context.Background(), types.NamespacedName{Namespace: f.namespace, Name: f.Name(i)}, &jobs[i]); err != nil {
				return err
			}
			return f.settled(i, &jobs[i])
		})
	}
	return jobs
}

func (f *Fleet) settled(i int, j *batchv1.Job) error {
	_, ran := j.Annotations[v1alpha1.AnnotationDecision]
	switch {
	case f.left(i) && !*j.Spec.Suspend:
		return errors.New("the customer withdrew, and it runs")
	case !f.left(i) && !ran:
		return fmt.Errorf("it is allowed, and never ran: %v", j.Annotations)
	case i >= f.Leavers && *j.Spec.Suspend:
		return fmt.Errorf("nobody withdrew, and it does not run: %v", j.Annotations)
	}
	return nil
}

// Until asks until there is no error.
func Until(t *testing.T, what string, most time.Duration, ask func() error) {
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

// Pause is a moment of random length, up to most.
func Pause(ctx context.Context, most time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(rand.N(most)):
	}
}

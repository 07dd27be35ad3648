package admission_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/internal/admission"
	"github.com/codb-dev/codb/test/apiserver"
)

// creates is how many Jobs are created in each half of a round, after some that
// are not counted: policies are compiled when they are first asked.
const creates, uncounted = 500, 50

// BenchmarkAdmission compares the same create of a campaign's Job, in dry runs
// over one connection, in the same cluster without codb's admission policies
// and with them. Each iteration is a round of both, in turns:
//
//	go test -run '^$' -bench Admission -benchtime 7x ./test/admission
func BenchmarkAdmission(b *testing.B) {
	c, j := root.client(b), job(env.EnforcedNamespace(b), "new")
	var without, with []time.Duration
	for round := 0; b.Loop(); round++ {
		halves := []func(){
			func() { uninstall(b); without = append(without, timed(b, c, j)...) },
			func() { install(b); with = append(with, timed(b, c, j)...) },
		}
		if round%2 == 1 {
			slices.Reverse(halves)
		}
		for _, half := range halves {
			half()
		}
	}
	install(b)
	report(b, without, "without")
	report(b, with, "with")
	b.ReportMetric(0, "ns/op")
}

func report(b *testing.B, took []time.Duration, which string) {
	slices.Sort(took)
	for _, q := range []struct {
		name string
		of   int
	}{{"p50", 50}, {"p99", 99}} {
		b.ReportMetric(float64(took[len(took)*q.of/100].Microseconds())/1000, which+"-"+q.name+"-ms")
	}
}

func timed(b *testing.B, c client.Client, j *batchv1.Job) []time.Duration {
	took := make([]time.Duration, 0, creates)
	for i := range uncounted + creates {
		fresh := j.DeepCopy()
		began := time.Now()
		if err := c.Create(b.Context(), fresh, client.DryRunAll); err != nil {
			b.Fatal(err)
		}
		if i >= uncounted {
			took = append(took, time.Since(began))
		}
	}
	return took
}

func install(b *testing.B) {
	if err := env.Install(b.Context(), apiserver.Options{}); err != nil {
		b.Fatal(err)
	}
}

// uninstall takes the policies away and waits until the apiserver has noticed.
func uninstall(b *testing.B) {
	objects, err := config.Objects(config.Values{}, config.Admission, config.Mutation)
	if err != nil {
		b.Fatal(err)
	}
	for _, o := range objects {
		if err := client.IgnoreNotFound(env.Client.Delete(b.Context(), o)); err != nil {
			b.Fatal(err)
		}
	}
	err = wait.PollUntilContextTimeout(b.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		return errors.Is(admission.Gates(ctx, root.client(b), admission.Namespace), admission.ErrNotInForce) && suspends(ctx, b) == nil, nil
	})
	if err != nil {
		b.Fatalf("the policies are still in force: %v", err)
	}
}

// suspends tells, by an error, that a campaign's Job is still born suspended.
func suspends(ctx context.Context, b *testing.B) error {
	j := job(admission.Namespace, "running")
	if err := root.client(b).Create(ctx, j, client.DryRunAll); err != nil {
		return err
	}
	if j.Spec.Suspend != nil && *j.Spec.Suspend {
		return errors.New("it is suspended")
	}
	return nil
}

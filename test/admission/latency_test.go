package admission_test

import (
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// BenchmarkCreateJob compares, with one connection and dry runs, a Job that
// the policies judge with one that they don't.
func BenchmarkCreateJob(b *testing.B) {
	c := root.client(b)
	for name, j := range map[string]*batchv1.Job{
		"Gated":   job(env.EnforcedNamespace(b), "new"),
		"Ungated": job(env.Namespace(b, nil), "new", func(j *batchv1.Job) { j.Labels = nil }),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := c.Create(b.Context(), j.DeepCopy(), client.DryRunAll); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

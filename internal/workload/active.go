package workload

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Made says that codb made the campaign's own workload, and that it is there.
func (o Observation) Made() bool {
	return slices.ContainsFunc(o.Crons, func(c Cron) bool { return c.owned }) ||
		slices.ContainsFunc(o.Runs, func(r Run) bool { return r.owned })
}

// Own is the Job that codb made of the campaign's present spec; nil: none.
func (o Observation) Own() *Run {
	for i := range o.Runs {
		if r := &o.Runs[i]; r.owned && r.cron == "" && r.Outdated == "" {
			return r
		}
	}
	return nil
}

// Active are the runs that were released and have not ended, or not begun.
func (o Observation) Active() []types.UID {
	var uids []types.UID
	for _, run := range o.Runs {
		switch run.State {
		case v1alpha1.WorkloadQueued, v1alpha1.WorkloadRunning, v1alpha1.WorkloadStopping:
			if run.Released {
				uids = append(uids, run.UID)
			}
		}
	}
	return uids
}

// Open are the runs that go on, or that may be let go: whatever they did or
// are about to do to customers is the question itself and no part of the past.
// A run is open from before its release on, so that an observation from just
// before it does not count the run against itself.
func (o Observation) Open() []types.UID {
	var uids []types.UID
	for _, run := range o.Runs {
		stopped := run.Released && run.State == v1alpha1.WorkloadSuspended && !run.Resumes
		ended := run.State == v1alpha1.WorkloadComplete || run.State == v1alpha1.WorkloadFailed
		if !stopped && !ended {
			uids = append(uids, run.UID)
		}
	}
	return uids
}

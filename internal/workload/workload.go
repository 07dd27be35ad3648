// Package workload keeps a campaign's Jobs and CronJobs from running, lets
// them run, and says what they do. It knows nothing of policies, consents and
// verdicts: when to hold and when to release is the caller's business.
package workload

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// MaxHeld is how many Jobs of one CronJob are kept that wait for a release. A
// CronJob with concurrencyPolicy Allow makes one at every tick, and only the
// newest can ever be released.
const MaxHeld = 3

// ErrRefused is an error that only a person can repair: trying again changes
// nothing until the Campaign or what stands in its way does.
var ErrRefused = errors.New("workload refused")

// Evidence is what a release carries: why the workload may run.
type Evidence struct{ Decision, PolicyDigest, ConsentRevision string }

// Run is one Job of a campaign: one that codb made, an existing one with the
// campaign's label, or one that a CronJob made.
type Run struct {
	Kind  string // always Job
	Name  string
	UID   types.UID
	State v1alpha1.WorkloadState
	// Released says that the Job carries evidence: it was let run once, and
	// never will be again, unless it Resumes.
	Released bool
	// Resumes says that the Job may be let run again after it was stopped: it
	// draws permits, and so goes on where it ended.
	Resumes bool
	// Suspended says that nobody starts it unless codb releases it; a Job that
	// was released and waits for Kueue is not.
	Suspended bool
	// Unsafe says why codb can't hold or release it safely; empty: it can.
	Unsafe string
	// Outdated says why it will not be released any more; empty: it may be.
	Outdated string

	version string         // what a release insists on
	cron    types.UID      // the CronJob that made it
	owned   bool           // codb made it, itself or through a CronJob
	stopped bool           // codb noted that it was stopped
	start   bool           // Kueue was given leave to start it, and may try
	ungate  map[string]any // what a release writes besides the evidence, where Kueue starts it
}

// Cron is one CronJob of a campaign. Releasing it lets it make Jobs, which are
// born suspended and are released one by one.
type Cron struct {
	Name      string
	UID       types.UID
	Suspended bool
	Released  bool
	// Unsafe and Outdated are as in Run.
	Unsafe   string
	Outdated string
	// Warning is something that works, but not as its author may think.
	Warning string

	version string
	owned   bool
}

// Observation is what a campaign's workloads do at one look.
type Observation struct {
	Runs  []Run  // sorted by creation, then name
	Crons []Cron // sorted by name
	// State is the sum, for Campaign.status.workload.
	State v1alpha1.WorkloadState
	// Warnings are the CronJobs' warnings, sorted.
	Warnings []string
}

// Unsafe lists what codb can't hold or release safely, with names, CronJobs
// first. While there is any, nothing of the campaign should be released.
func (o Observation) Unsafe() []string {
	var out []string
	for _, cron := range o.Crons {
		if cron.Unsafe != "" {
			out = append(out, fmt.Sprintf("CronJob %s: %s", cron.Name, cron.Unsafe))
		}
	}
	for _, run := range o.Runs {
		if run.Unsafe != "" {
			out = append(out, fmt.Sprintf("Job %s: %s", run.Name, run.Unsafe))
		}
	}
	return out
}

// Releasable says whether Release would release anything.
func (o Observation) Releasable() bool {
	for i := range o.Crons {
		if o.Crons[i].releasable() {
			return true
		}
	}
	for i := range o.Runs {
		if o.Runs[i].releasable() {
			return true
		}
	}
	return false
}

// First keeps only the first Job that Release would release, and the CronJobs:
// a schedule may go on ticking, but one run at a time contacts people.
func (o Observation) First() Observation {
	i := slices.IndexFunc(o.Runs, func(r Run) bool { return r.releasable() })
	if i < 0 {
		o.Runs = nil
	} else {
		o.Runs = o.Runs[i : i+1]
	}
	return o
}

func (r *Run) releasable() bool {
	return r.State == v1alpha1.WorkloadSuspended && (!r.Released || r.Resumes) && r.Unsafe == "" && r.Outdated == ""
}

func (c *Cron) releasable() bool { return c.Suspended && c.Unsafe == "" && c.Outdated == "" }

// Keeper holds and releases.
type Keeper struct {
	// Client reads from a cache that holds at least the Jobs and CronJobs with
	// the campaign label, and writes.
	Client client.Client
	// Live reads past the cache: pods of stopped Jobs, and what stands in the
	// way of a new one, and Kueue's Workloads. Nil: Client.
	Live client.Reader
	// Kueue says that the admission policies know Kueue's user, so that Jobs
	// with its queue label are released to it.
	Kueue bool
}

func (k *Keeper) live() client.Reader {
	if k.Live == nil {
		return k.Client
	}
	return k.Live
}

// RunHash identifies what a release lets run: the spec without hold, pace,
// priority and onWithdrawal, since a hold that is set and lifted again is not a new run. A
// field that the API gets later must be left out of the hash while it has its
// default, or every campaign would become a new run with the upgrade.
func RunHash(spec *v1alpha1.CampaignSpec) string {
	run := *spec
	run.Hold, run.Pace, run.Priority, run.OnWithdrawal = nil, nil, 0, ""
	if !run.DrawsPermits() {
		run.Recipients = ""
	}
	b, err := json.Marshal(run)
	if err != nil {
		panic(fmt.Sprintf("hash a campaign's spec: %v", err)) // plain fields of strings, numbers and times always marshal
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

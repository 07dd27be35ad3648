package workload

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// Active are the runs that were released and have not ended.
func (o Observation) Active() []types.UID {
	var uids []types.UID
	for _, run := range o.Runs {
		if run.Released && (run.State == v1alpha1.WorkloadRunning || run.State == v1alpha1.WorkloadStopping) {
			uids = append(uids, run.UID)
		}
	}
	return uids
}

// Command apilint looks at codb's API with the linters that Kubernetes looks at
// its own with. It knows which of them codb leaves out, and why.
package main

import (
	"fmt"
	"os"

	"golang.org/x/tools/go/analysis/multichecker"
	pluginbase "sigs.k8s.io/kube-api-linter/pkg/plugin/base"
	_ "sigs.k8s.io/kube-api-linter/pkg/registration"
)

var settings = map[string]any{
	"linters": map[string]any{
		"enable": []string{"arrayofstruct", "maxlength", "nobools", "nodurations", "nofloats", "nomaps", "nonullable", "notimestamp", "nophase", "noreferences", "statusoptional", "statussubresource", "ssatags", "uniquemarkers"},
		"disable": []string{
			// They want pointers or omitempty by Go's zero values. Here a required
			// field is a plain value that is always written, an optional one that is
			// empty is absent, and counts are written even at zero: the schema says
			// what may be empty, and no reader has to ask twice.
			"requiredfields", "optionalfields", "nonpointerstructs",
			// An empty text or list means what an absent one does.
			"minlength",
			// Its rule, with "name:" and "name," besides "name ", is a test of
			// api/v1alpha1, which also wants a full stop.
			"commentstart",
		},
	},
	"lintersConfig": map[string]any{
		// Custom resources have no protobuf and no strategic merge; conditions come
		// last, since people read a status from the top.
		"conditions": map[string]any{"isFirstField": "Ignore", "useProtobuf": "Forbid", "usePatchStrategy": "Forbid"},
		// The marker that controller-gen writes into the schema.
		"defaults": map[string]any{"preferredDefaultMarker": "kubebuilder:default"},
	},
}

func main() {
	plugin, err := pluginbase.New(settings)
	if err != nil {
		fail(err)
	}
	analyzers, err := plugin.BuildAnalyzers()
	if err != nil {
		fail(err)
	}
	multichecker.Main(analyzers...)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "apilint:", err)
	os.Exit(1)
}

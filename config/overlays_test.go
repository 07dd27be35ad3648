package config_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

// TestALedgerInPostgreSQLNeedsNoVolume builds config/postgres as kubectl does.
func TestALedgerInPostgreSQLNeedsNoVolume(t *testing.T) {
	kubectl := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl")
	out, err := exec.Command(kubectl, "kustomize", "postgres").Output()
	if err != nil {
		t.Fatalf("kubectl kustomize config/postgres: %v; set KUBEBUILDER_ASSETS=$(hack/assets.sh)", err)
	}
	for text := range strings.SplitSeq(string(out), "\n---\n") {
		if !strings.Contains(text, "\nkind: StatefulSet\n") {
			continue
		}
		var gate appsv1.StatefulSet
		if err := yaml.UnmarshalStrict([]byte(text), &gate); err != nil {
			t.Fatal(err)
		}
		args := strings.Join(gate.Spec.Template.Spec.Containers[0].Args, " ")
		if len(gate.Spec.VolumeClaimTemplates) != 0 || strings.Contains(args, "--data") || !strings.Contains(args, "--ledger-file=/etc/codb/ledger/url") {
			t.Errorf("the gate has %d volumes and %s", len(gate.Spec.VolumeClaimTemplates), args)
		}
		mounts := gate.Spec.Template.Spec.Containers[0].VolumeMounts
		volumes := gate.Spec.Template.Spec.Volumes
		if len(mounts) != 1 || len(volumes) != 1 || mounts[0].Name != volumes[0].Name || volumes[0].Secret == nil || volumes[0].Secret.SecretName != "codb-ledger" {
			t.Errorf("the gate has the mounts %v of %v, want the Secret's alone", mounts, volumes)
		}
		return
	}
	t.Error("no gate was built")
}

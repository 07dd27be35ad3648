package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"github.com/codb-dev/codb/config"
)

// staticConfig is the name of the file for --admission-control-config-file.
const staticConfig = "admission.yaml"

// writeStatic writes the admission policies into a folder of the apiserver's
// disk, for kube-apiserver to load itself: nobody can take them away through
// its API then.
func writeStatic(values config.Values, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	type plugin struct {
		Name          string         `json:"name"`
		Configuration map[string]any `json:"configuration"`
	}
	var plugins []plugin
	for _, p := range []struct {
		part         config.Part
		folder, name string
	}{{config.Admission, "validating", "ValidatingAdmissionPolicy"}, {config.Mutation, "mutating", "MutatingAdmissionPolicy"}} {
		objects, err := config.Static(values, p.part)
		if err != nil {
			return err
		}
		folder := filepath.Join(dir, p.folder)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		var manifests bytes.Buffer
		if err := printObjects(&manifests, objects); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, "codb.yaml"), manifests.Bytes(), 0o644); err != nil {
			return err
		}
		plugins = append(plugins, plugin{p.name, map[string]any{
			"apiVersion": "apiserver.config.k8s.io/v1", "kind": p.name + "Configuration", "staticManifestsDir": folder,
		}})
	}
	raw, err := yaml.Marshal(map[string]any{"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": plugins})
	if err != nil {
		return fmt.Errorf("write %s: %w", staticConfig, err)
	}
	return os.WriteFile(filepath.Join(dir, staticConfig), raw, 0o644)
}

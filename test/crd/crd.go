// Package crd reads the generated CRDs, samples of their objects, and makes the
// largest of them. It knows no cluster and no Go type of ours.
package crd

import (
	"os"

	"github.com/codb-dev/codb/internal/crd"
)

// Object is one manifest as decoded from YAML.
type Object = crd.Object

// Kind is one CRD, ready to judge.
type Kind = crd.Kind

// Load reads every CRD of folder, keyed by kind.
func Load(folder string) (map[string]*Kind, error) { return crd.Load(os.DirFS(folder)) }

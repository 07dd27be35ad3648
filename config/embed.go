// Package config holds the manifests of an installation and hands them out in
// the order in which they must be applied. It talks to no cluster.
package config

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	consentv1 "github.com/codb-dev/codb/api/v1alpha1"
)

//go:generate go run ../hack/chart

//go:embed crd namespaces rbac admission sender webhook gate manager policy samples postgres/consents
var files embed.FS

// Part is one folder of manifests.
type Part string

// The parts, in the order in which they must be applied.
const (
	CRDs       Part = "crd"
	Namespaces Part = "namespaces"
	RBAC       Part = "rbac"
	// Admission is what the apiserver itself enforces. Mutation is the half of
	// it that needs Kubernetes 1.36; without it a campaign Job that is not born
	// suspended is refused instead of being suspended.
	Admission Part = "admission/validating"
	Mutation  Part = "admission/mutating"
	// Sender is what pods get that draw permits, and, from Kubernetes 1.36 on,
	// what puts it into Jobs that people make themselves.
	Sender  Part = "sender"
	Webhook Part = "webhook"
	// Gate and Manager are the pods; codb standalone does without them.
	Gate    Part = "gate"
	Manager Part = "manager"
	Policy  Part = "policy"
	// Consents is what serves consents that are in PostgreSQL; an installation
	// that keeps them in the apiserver does without.
	Consents Part = "postgres/consents"
	Samples  Part = "samples"
)

// Installation lists the parts that make codb work, without samples.
var Installation = []Part{CRDs, Namespaces, RBAC, Admission, Mutation, Sender, Webhook, Gate, Manager, Policy}

// Values are what the manifests leave open. The zero value means the names
// that the manifests spell out.
type Values struct {
	// Operator is the username that alone may release workloads.
	Operator string
	// Kueue is the username of Kueue's controller, which starts campaign Jobs
	// that have its queue label once codb has released them. Empty: such Jobs
	// are refused, since nobody could start them.
	Kueue string
	// Elsewhere says that consents are in a database: the apiserver refuses them.
	Elsewhere bool
}

const (
	// noKueue is what stands in the manifests where nobody is Kueue.
	noKueue = "  - name: kueue\n    expression: \"''\"\n"
	// here is what stands where consents are custom resources.
	here = "  - name: elsewhere # consents are in a database\n    expression: \"false\"\n"
	// shortName is kubectl's for consents: of those in the database, where they are.
	shortName = "    shortNames:\n    - cc\n"
)

var serviceAccount = regexp.MustCompile(`^system:serviceaccount:[a-z0-9-]+:[a-z0-9.-]+$`)

// Objects returns the manifests of the parts, in the order given.
func Objects(v Values, parts ...Part) ([]*unstructured.Unstructured, error) {
	if v.Kueue != "" && !serviceAccount.MatchString(v.Kueue) {
		return nil, fmt.Errorf("read the manifests: Kueue's user %q: want system:serviceaccount:<namespace>:<name>", v.Kueue)
	}
	var all []*unstructured.Unstructured
	for _, part := range parts {
		err := fs.WalkDir(files, string(part), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || entry.Name() == "kustomization.yaml" {
				return err
			}
			objects, err := read(v, path)
			all = append(all, objects...)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read the manifests of %s: %w", part, err)
		}
	}
	return all, nil
}

// CRDFiles are the files of the CRDs alone.
func CRDFiles() fs.FS {
	bases, err := fs.Sub(files, "crd/bases")
	if err != nil {
		panic(err) // the path is no path
	}
	return bases
}

func read(v Values, path string) ([]*unstructured.Unstructured, error) {
	raw, err := files.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if v.Operator != "" {
		raw = bytes.ReplaceAll(raw, []byte(consentv1.OperatorUsername), []byte(v.Operator))
	}
	if v.Kueue != "" {
		raw = bytes.ReplaceAll(raw, []byte(noKueue), []byte(strings.Replace(noKueue, "''", "'"+v.Kueue+"'", 1)))
	}
	if v.Elsewhere {
		raw = bytes.ReplaceAll(raw, []byte(here), []byte(strings.Replace(here, "false", "true", 1)))
		raw = bytes.ReplaceAll(raw, []byte(shortName), nil)
	}
	var objects []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096); ; {
		u := &unstructured.Unstructured{}
		if err := decoder.Decode(u); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.TrimPrefix(path, "./"), err)
		}
		if len(u.Object) > 0 {
			objects = append(objects, u)
		}
	}
}

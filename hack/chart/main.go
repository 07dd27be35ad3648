// Command chart writes the templates of the Helm chart from the manifests in
// config, so that both install the same. What a platform team chooses becomes a
// value; nothing else is decided here.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/codb-dev/codb/config"
)

func main() {
	out := flag.String("out", "helm/codb/templates", "folder of the templates")
	flag.Parse()
	templates, err := render()
	if err == nil {
		err = write(*out, templates)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func write(dir string, templates map[string][]byte) error {
	for name, content := range templates {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// kept stays when the chart is uninstalled: what people declared, and what
// holds and equips their campaigns.
var kept = []config.Part{config.CRDs, config.Namespaces, config.Admission, config.Mutation, config.Sender}

// mutates says whether the cluster is Kubernetes 1.36 or later.
const mutates = `.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"`

// conditions say when a part is installed at all.
var conditions = map[config.Part]string{config.Mutation: mutates, config.Consents: consents}

// when says the same of single objects.
var when = map[string]string{
	"ClusterRole codb-operator-baseline":        ".Values.baseline",
	"ClusterRoleBinding codb-operator-baseline": ".Values.baseline",
	"NetworkPolicy default-deny":                ".Values.networkPolicies",
	"NetworkPolicy codb-operator":               ".Values.networkPolicies",
	"NetworkPolicy codb-gate":                   ".Values.networkPolicies",
	"NetworkPolicy codb-consents":               ".Values.networkPolicies",

	"MutatingAdmissionPolicy campaign-permits.consent.codb.dev":        mutates,
	"MutatingAdmissionPolicyBinding campaign-permits.consent.codb.dev": mutates,
}

// value is a field of an object that the installation chooses.
type value struct {
	object string
	path   string
	action string
}

var values = []value{
	{"Deployment codb-operator", "spec.replicas", ".Values.operator.replicas"},
	{"Deployment codb-operator", "spec.template.spec.containers.0.image", ".Values.image.reference | quote"},
	{"Deployment codb-operator", "spec.template.spec.containers.0.imagePullPolicy", ".Values.image.pullPolicy"},
	{"Deployment codb-operator", "spec.template.spec.containers.0.resources", "toYaml .Values.operator.resources | nindent 10"},
	{"Deployment codb-consents", "spec.template.spec.containers.0.image", ".Values.image.reference | quote"},
	{"Deployment codb-consents", "spec.template.spec.containers.0.imagePullPolicy", ".Values.image.pullPolicy"},
	{"Deployment codb-consents", "spec.template.spec.volumes.0.secret.secretName", consents + " | quote"},
	{"PodTemplate codb-run", "template.spec.initContainers.0.image", ".Values.image.reference | quote"},
	{"PodTemplate codb-run", "template.spec.initContainers.0.imagePullPolicy", ".Values.image.pullPolicy"},
	{"StatefulSet codb-gate", "spec.template.spec.containers.0.image", ".Values.image.reference | quote"},
	{"StatefulSet codb-gate", "spec.template.spec.containers.0.imagePullPolicy", ".Values.image.pullPolicy"},
	{"StatefulSet codb-gate", "spec.template.spec.containers.0.resources", "toYaml .Values.gate.resources | nindent 10"},
	{"StatefulSet codb-gate", "spec.volumeClaimTemplates.0.spec", "toYaml .Values.gate.volume | nindent 6"},
}

// optional are lines that a value switches on.
var optional = map[string]string{"        - --baseline\n": ".Values.baseline"}

// texts are places within a text that a value fills in.
var texts = map[string]string{
	"        - --kueue-user=\n":                 "        - --kueue-user={{ .Values.kueue.user }}\n",
	"  - expression: ''''''\n    name: kueue\n": "  - expression: {{ .Values.kueue.user | squote | quote }}\n    name: kueue\n",
}

const notice = "# Written by hack/chart from config: change it there.\n"

// render returns the templates by file name.
func render() (map[string][]byte, error) {
	templates := map[string][]byte{}
	for _, part := range append(slices.Clone(config.Installation), config.Consents) {
		if part == config.Policy {
			continue // codb makes the first policy itself
		}
		objects, err := config.Objects(config.Values{}, part)
		if err != nil {
			return nil, err
		}
		var buf bytes.Buffer
		buf.WriteString(notice)
		for _, o := range objects {
			text, err := template(part, o)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
			}
			buf.WriteString(text)
		}
		templates[strings.ReplaceAll(string(part), "/", "-")+".yaml"] = buf.Bytes()
	}
	return templates, nil
}

var placeholder = regexp.MustCompile(`'?@@(.*?)@@'?`)

func template(part config.Part, o *unstructured.Unstructured) (string, error) {
	id := o.GetKind() + " " + o.GetName()
	if slices.Contains(kept, part) {
		annotations := o.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations["helm.sh/resource-policy"] = "keep"
		o.SetAnnotations(annotations)
	}
	for _, v := range values {
		if v.object == id {
			if err := set(o.Object, strings.Split(v.path, "."), "@@"+v.action+"@@"); err != nil {
				return "", fmt.Errorf("%s: %w", v.path, err)
			}
		}
	}
	raw, err := yaml.Marshal(o.Object)
	if err != nil {
		return "", err
	}
	text := strings.ReplaceAll(string(raw), "{{", `{{ "{{" }}`) // of CEL, if there ever is any
	text = placeholder.ReplaceAllString(text, "{{ $1 }}")
	for line, condition := range optional {
		text = strings.ReplaceAll(text, line, only(condition, line))
	}
	for _, places := range []map[string]string{texts, inPostgreSQL} {
		for place, filled := range places {
			text = strings.ReplaceAll(text, place, filled)
		}
	}
	text = "---\n" + text
	for _, condition := range []string{conditions[part], when[id]} {
		if condition != "" {
			text = only(condition, text)
		}
	}
	return text, nil
}

func only(condition, text string) string {
	return "{{- if " + condition + " }}\n" + text + "{{- end }}\n"
}

// set replaces the value at the path, which must be there.
func set(in any, path []string, to string) error {
	switch node := in.(type) {
	case map[string]any:
		if _, ok := node[path[0]]; !ok {
			return fmt.Errorf("there is no field %s", path[0])
		}
		if len(path) == 1 {
			node[path[0]] = to
			return nil
		}
		return set(node[path[0]], path[1:], to)
	case []any:
		if path[0] != "0" || len(node) != 1 || len(path) == 1 {
			return fmt.Errorf("want a list of one, got %d", len(node))
		}
		return set(node[0], path[1:], to)
	}
	return fmt.Errorf("%s is in neither an object nor a list", path[0])
}

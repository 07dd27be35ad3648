// Command apidocs writes the field tables of docs/reference from the generated
// CRDs, between the marks <!-- fields --> of each page. It invents nothing: the
// words are those of kubectl explain.
package main

//go:generate go run . -crds ../../config/crd/bases -docs ../../docs/reference

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	crds := flag.String("crds", "config/crd/bases", "folder of the generated CRDs")
	docs := flag.String("docs", "docs/reference", "folder of the pages, <kind>.md")
	flag.Parse()
	pages, err := generate(*crds, *docs)
	for path, page := range pages {
		if err == nil {
			err = os.WriteFile(path, page, 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "apidocs:", err)
		os.Exit(1)
	}
}

// generate returns every page as it should be, by path.
func generate(crds, docs string) (map[string][]byte, error) {
	files, err := filepath.Glob(filepath.Join(crds, "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("find CRDs in %s: %w", crds, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("find CRDs in %s: there are none; run make generate", crds)
	}
	pages := map[string][]byte{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(raw, crd); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		path := filepath.Join(docs, strings.ToLower(crd.Spec.Names.Kind)+".md")
		old, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the page of %s: %w", crd.Spec.Names.Kind, err)
		}
		if pages[path], err = fill(old, table(crd)); err != nil {
			return nil, fmt.Errorf("fill %s: %w", path, err)
		}
	}
	return pages, nil
}

const (
	begin = "<!-- fields: go run ./hack/apidocs -->"
	end   = "<!-- /fields -->"
)

var marked = regexp.MustCompile("(?s)" + regexp.QuoteMeta(begin) + ".*" + regexp.QuoteMeta(end))

func fill(page, fields []byte) ([]byte, error) {
	if len(marked.FindAll(page, -1)) != 1 {
		return nil, fmt.Errorf("want the marks %s and %s once", begin, end)
	}
	whole := slices.Concat([]byte(begin+"\n"), fields, []byte(end))
	return marked.ReplaceAllLiteral(page, whole), nil
}

type writer struct {
	bytes.Buffer
	// seen maps the fields of an object to the path that has described them.
	seen map[string]string
}

func table(crd *apiextensionsv1.CustomResourceDefinition) []byte {
	w := &writer{seen: map[string]string{}}
	root := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	for _, part := range []string{"spec", "status"} {
		node, ok := root.Properties[part]
		if !ok {
			continue
		}
		fmt.Fprintf(w, "\n**%s**: %s\n\n| Field | Type | Meaning |\n|---|---|---|\n", part, text(predicate(part, node.Description)))
		w.children(&node, "", part)
	}
	w.WriteString("\n")
	return w.Bytes()
}

// children writes a row for each field of node, the required ones first.
func (w *writer) children(node *apiextensionsv1.JSONSchemaProps, prefix, whole string) {
	names := make([]string, 0, len(node.Properties))
	for name := range node.Properties {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		ra, rb := slices.Contains(node.Required, a), slices.Contains(node.Required, b)
		if ra != rb {
			if ra {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		child := node.Properties[name]
		path := prefix + name
		inner := &child
		if child.Items != nil {
			inner, path = child.Items.Schema, path+"[]"
		}
		meaning, same := text(predicate(name, child.Description)), w.same(inner, whole+"."+path)
		if same != "" {
			meaning += " Fields as in `" + same + "`."
		}
		required := ""
		if slices.Contains(node.Required, name) {
			required = "**required** "
		}
		fmt.Fprintf(w, "| `%s` | %s%s | %s |\n", path, required, kind(&child), meaning)
		if same == "" && name != "conditions" {
			w.children(inner, path+".", whole)
		}
	}
}

// predicate leaves the name out of "name is ...": it stands in the first column.
func predicate(name, description string) string {
	for _, verb := range []string{" is ", " are ", ": "} {
		if rest, ok := strings.CutPrefix(description, name+verb); ok {
			return rest
		}
	}
	return description
}

// same says where an object of the very same fields has been described.
func (w *writer) same(node *apiextensionsv1.JSONSchemaProps, path string) string {
	if len(node.Properties) < 2 {
		return ""
	}
	key, _ := json.Marshal(node.Properties)
	if first, ok := w.seen[string(key)]; ok {
		return first
	}
	w.seen[string(key)] = strings.SplitN(path, ".", 2)[1]
	return ""
}

// kind says in a few words what a value may be.
func kind(s *apiextensionsv1.JSONSchemaProps) string {
	switch {
	case len(s.Enum) > 0:
		var words []string
		for _, e := range s.Enum {
			words = append(words, strings.Trim(string(e.Raw), `"`))
		}
		out := strings.Join(words, ", ")
		if s.Default != nil {
			out += "; default " + strings.Trim(string(s.Default.Raw), `"`)
		}
		return out
	case s.Format == "date-time":
		return "instant"
	case s.Format == "date":
		return "day, YYYY-MM-DD"
	case s.Type == "string":
		return "text" + limits(s.MinLength, s.MaxLength)
	case s.Type == "integer":
		return "number" + limits(whole(s.Minimum), whole(s.Maximum))
	case s.Type == "array":
		return list(s)
	}
	return "object"
}

func list(s *apiextensionsv1.JSONSchemaProps) string {
	out := "list" + limits(s.MinItems, s.MaxItems)
	if s.XListType != nil && *s.XListType == "map" {
		out += ", one for each " + strings.Join(s.XListMapKeys, " and ")
	}
	if items := s.Items.Schema; items.Type != "object" {
		out += " of " + kind(items)
	}
	return out
}

func whole(f *float64) *int64 {
	if f == nil {
		return nil
	}
	n := int64(*f)
	return &n
}

func limits(low, high *int64) string {
	switch {
	case low != nil && high != nil && *low == *high:
		return fmt.Sprintf(" of %d", *low)
	case low != nil && high != nil:
		return fmt.Sprintf(", %d to %d", *low, *high)
	case high != nil:
		return fmt.Sprintf(", at most %d", *high)
	case low != nil:
		return fmt.Sprintf(", at least %d", *low)
	}
	return ""
}

var markup = strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`)

func text(description string) string {
	return markup.Replace(strings.Join(strings.Fields(description), " "))
}

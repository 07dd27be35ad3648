package policy

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/agnivade/levenshtein"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
)

// document is the input of a policy.
type document struct {
	Now      int64             `json:"now"`
	Campaign decision.Campaign `json:"campaign"`
	Customer consent.Person    `json:"customer"`
	Contacts decision.Contacts `json:"contacts"`
}

// attribute is one node of the document's shape.
type attribute struct {
	name     string
	optional bool
	index    int                   // in its struct
	kind     reflect.Kind          // Struct, Slice, or that of a scalar
	fields   []*attribute          // of a Struct
	byName   map[string]*attribute // of a Struct
	elem     *attribute            // of a Slice
	key      *ast.Term             // name as Rego has it
}

func (a *attribute) scalar() bool { return a.kind != reflect.Struct && a.kind != reflect.Slice }

// shape is the document as policies see it, read off the Go types so that it
// can't differ from what they are given.
var shape = sync.OnceValue(func() *attribute {
	return describe("input", reflect.TypeFor[document]())
})

func describe(name string, t reflect.Type) *attribute {
	a := &attribute{name: name, key: ast.InternedTerm(name)}
	if t.Kind() == reflect.Pointer {
		t, a.optional = t.Elem(), true
	}
	a.kind = t.Kind()
	switch a.kind {
	case reflect.Slice:
		a.elem = describe(name, t.Elem())
	case reflect.Struct:
		a.byName = map[string]*attribute{}
		for i := range t.NumField() {
			tag, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			f := describe(tag, t.Field(i).Type)
			f.index = i
			f.optional = f.optional || options == "omitempty"
			a.fields = append(a.fields, f)
			a.byName[tag] = f
		}
	}
	return a
}

// nearest is the field whose name is most like a wrong one.
func (a *attribute) nearest(wrong string) string {
	names := make([]string, 0, len(a.fields))
	for _, f := range a.fields {
		names = append(names, f.name)
	}
	return nearest(wrong, names)
}

// nearest is the name most like a wrong one; empty where none is like it.
func nearest(wrong string, names []string) string {
	names = slices.Clone(names)
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(distance(wrong, a), distance(wrong, b)), cmp.Compare(a, b))
	})
	if len(names) == 0 || distance(wrong, names[0]) > max(2, len(wrong)/3) {
		return ""
	}
	return names[0]
}

func distance(a, b string) int {
	return levenshtein.ComputeDistance(strings.ToLower(clip(a, 64)), strings.ToLower(b))
}

// value is v as Rego sees it: what encoding/json would make of it, without the
// way through text.
func (a *attribute) value(v reflect.Value) *ast.Term {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch a.kind {
	case reflect.Struct:
		return ast.NewTerm(ast.NewObject(a.pairs(v)...))
	case reflect.Slice:
		terms := make([]*ast.Term, v.Len())
		for i := range terms {
			terms[i] = a.elem.value(v.Index(i))
		}
		return ast.NewTerm(ast.NewArray(terms...))
	case reflect.String:
		return ast.StringTerm(v.String())
	case reflect.Bool:
		return ast.InternedTerm(v.Bool())
	default:
		return ast.InternedTerm(v.Int())
	}
}

func (a *attribute) pairs(v reflect.Value) [][2]*ast.Term {
	out := make([][2]*ast.Term, 0, len(a.fields))
	for _, f := range a.fields {
		fv := v.Field(f.index)
		if f.optional && (fv.IsZero() || (f.kind == reflect.Slice && fv.Len() == 0)) {
			continue
		}
		out = append(out, [2]*ast.Term{f.key, f.value(fv)})
	}
	return out
}

// schema is the shape as JSON Schema, for OPA's type checker: it follows local
// names that Lint does not see through.
func (a *attribute) schema() map[string]any {
	switch a.kind {
	case reflect.Struct:
		props := map[string]any{}
		for _, f := range a.fields {
			props[f.name] = f.schema()
		}
		return map[string]any{"type": "object", "properties": props, "additionalProperties": false}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": a.elem.schema()}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	default:
		return map[string]any{"type": "integer"}
	}
}

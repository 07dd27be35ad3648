package gate

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// description is docs/gate-openapi.yaml, read as what it is: JSON Schema, to
// which what goes over the wire in these tests must keep.
type description struct {
	operations map[string]map[string]struct {
		RequestBody wireBody            `json:"requestBody"`
		Responses   map[string]wireBody `json:"responses"`
	}
	mu       sync.Mutex
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema
}

type wireBody struct {
	Ref     string `json:"$ref"`
	Content map[string]struct {
		Schema struct {
			Ref string `json:"$ref"`
		} `json:"schema"`
	} `json:"content"`
}

const describedAt = "gate-openapi.json"

var described = sync.OnceValues(func() (*description, error) {
	data, err := os.ReadFile("../../docs/gate-openapi.yaml")
	if err != nil {
		return nil, err
	}
	if data, err = yaml.YAMLToJSON(data); err != nil {
		return nil, err
	}
	d := &description{compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	d.compiler.AssertFormat()
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if err := d.compiler.AddResource(describedAt, whole); err != nil {
		return nil, err
	}
	return d, json.Unmarshal(data, &struct {
		Paths any `json:"paths"`
	}{&d.operations})
})

// keeps says what of a text the description does not say.
func (d *description) keeps(ref string, text []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.schemas[ref]
	if s == nil {
		var err error
		if s, err = d.compiler.Compile(describedAt + ref); err != nil {
			return err
		}
		d.schemas[ref] = s
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// route is the described path that a request goes to; empty: none.
func (d *description) route(method, path string) string {
	path, _, _ = strings.Cut(path, "?")
	for at := range d.operations {
		fixed, _, variable := strings.Cut(at, "{")
		if _, ok := d.operations[at][strings.ToLower(method)]; ok && (at == path || variable && strings.HasPrefix(path, fixed)) {
			return at
		}
	}
	return ""
}

// answersAsDescribed checks a request that was answered: that the description has the
// status, and that the answer and, where it was taken, the question are of the
// schemas.
func answersAsDescribed(t testing.TB, method, path string, question []byte, status int, kind string, answer []byte) {
	t.Helper()
	d, err := described()
	if err != nil {
		t.Fatal(err)
	}
	at := d.route(method, path)
	if at == "" {
		return
	}
	op := d.operations[at][strings.ToLower(method)]
	response, ok := op.Responses[strconv.Itoa(status)]
	if !ok {
		t.Errorf("%s %s answers %d, which is not described", method, at, status)
		return
	}
	if kind, _, err = mime.ParseMediaType(kind); err != nil {
		t.Errorf("%s %s: %v", method, at, err)
	}
	ref := response.Content[kind].Schema.Ref
	switch {
	case response.Ref == "#/components/responses/Problem":
		ref = "#/components/schemas/Problem"
		if kind != "application/problem+json" {
			t.Errorf("%s %s: a problem of kind %s", method, at, kind)
		}
	case response.Ref != "":
		ref = response.Ref + "/content/" + strings.ReplaceAll(kind, "/", "~1") + "/schema"
	case ref == "":
		t.Errorf("%s %s answers %d with %s, which is not described", method, at, status, kind)
		return
	}
	if err := d.keeps(ref, answer); err != nil {
		t.Errorf("%s %s: the answer %s is not as described: %v", method, at, answer, err)
	}
	if asked := op.RequestBody.Content["application/json"].Schema.Ref; asked != "" && status == http.StatusOK {
		if err := d.keeps(asked, question); err != nil {
			t.Errorf("%s %s: the gate took what is not as described: %v", method, at, err)
		}
	}
}

// asDescribed checks a line of a stream.
func asDescribed(t testing.TB, schema string, line []byte) {
	t.Helper()
	d, err := described()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.keeps(schema, line); err != nil {
		t.Errorf("the line %s is not as described: %v", line, err)
	}
}

package crd

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// Sample is a file that the CRDs must accept or refuse.
type Sample struct {
	File   string
	Object Object
	// Old is what Object changes; nil: Object is created.
	Old Object
	// Refuse are parts of the messages with which it must be refused: each
	// error has one of them, and each of them has an error. Empty: accepted.
	Refuse []string
}

// Kind of the object.
func (s *Sample) Kind() string {
	kind, _ := s.Object["kind"].(string)
	return kind
}

var separator = regexp.MustCompile(`(?m)^---\s*$`)

// ReadSample reads a file of one object. Leading lines "# refuse: <part of a
// message>" say how it is refused; a second document that begins with "# from:"
// is the object as it was before.
func ReadSample(file string) (*Sample, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := &Sample{File: file}
	for _, doc := range separator.Split(string(raw), -1) {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		object, err := Decode([]byte(doc))
		if err != nil {
			return nil, fmt.Errorf("read sample %s: %w", file, err)
		}
		if strings.HasPrefix(strings.TrimSpace(doc), "# from:") {
			s.Old = object
			continue
		}
		if s.Object != nil {
			return nil, fmt.Errorf("read sample %s: two objects; the older one begins with the line \"# from:\"", file)
		}
		s.Object = object
		s.Refuse = refusals(doc)
	}
	if s.Object == nil {
		return nil, fmt.Errorf("read sample %s: no object", file)
	}
	return s, nil
}

// Decode reads one YAML document as kubectl and the apiserver would: whole
// numbers are integers. A key that comes twice is an error, except where a
// merge key (<<) is: the strict reader takes an overridden key for a second one.
func Decode(doc []byte) (Object, error) {
	toJSON := yaml.YAMLToJSONStrict
	if bytes.Contains(doc, []byte("<<:")) {
		toJSON = yaml.YAMLToJSON
	}
	raw, err := toJSON(doc)
	if err != nil {
		return nil, err
	}
	var object Object
	err = json.Unmarshal(raw, &object)
	return object, err
}

func refusals(doc string) []string {
	var parts []string
	for line := range strings.Lines(doc) {
		if part, ok := strings.CutPrefix(line, "# refuse:"); ok {
			parts = append(parts, strings.TrimSpace(part))
		}
	}
	return parts
}

// Mismatch compares messages with what the sample expects; "" means as expected.
func (s *Sample) Mismatch(messages []string) string {
	var wrong []string
	for _, m := range messages {
		if !containsAny(m, s.Refuse) {
			wrong = append(wrong, "unexpected: "+m)
		}
	}
	for _, want := range s.Refuse {
		if !anyContains(messages, want) {
			wrong = append(wrong, "not refused with: "+want)
		}
	}
	return strings.Join(wrong, "\n")
}

func containsAny(message string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(message, part) {
			return true
		}
	}
	return false
}

func anyContains(messages []string, part string) bool {
	for _, m := range messages {
		if strings.Contains(m, part) {
			return true
		}
	}
	return false
}

// Package crd judges objects by the generated CRDs as the apiserver does:
// unknown fields, defaults, schema, list keys and CEL rules. It knows no
// cluster and no Go type of ours.
package crd

import (
	"context"
	"fmt"
	"io/fs"
	"reflect"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// Object is one manifest as decoded from YAML.
type Object = map[string]any

// Kind is one CRD, ready to judge.
type Kind struct {
	Name string
	CRD  *apiextensionsv1.CustomResourceDefinition
	// Schema is the root of the served version's schema.
	Schema *apiextensionsv1.JSONSchemaProps

	structural *structuralschema.Structural
	schema     validation.SchemaValidator
	rules      *cel.Validator
}

// Load reads every CRD that is at the top of the folder, keyed by kind. A CRD
// that the apiserver would refuse, for a rule that costs too much for instance,
// is an error.
func Load(folder fs.FS) (map[string]*Kind, error) {
	files, err := fs.Glob(folder, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("read CRDs: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("read CRDs: there are none")
	}
	kinds := map[string]*Kind{}
	for _, file := range files {
		raw, err := fs.ReadFile(folder, file)
		if err != nil {
			return nil, fmt.Errorf("read CRDs: %w", err)
		}
		k, err := load(raw)
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", file, err)
		}
		kinds[k.Name] = k
	}
	return kinds, nil
}

func load(raw []byte) (*Kind, error) {
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(raw, crd); err != nil {
		return nil, err
	}
	if n := len(crd.Spec.Versions); n != 1 {
		return nil, fmt.Errorf("%d versions, want 1", n)
	}
	crd.Status.StoredVersions = []string{crd.Spec.Versions[0].Name}

	scheme := runtime.NewScheme()
	install.Install(scheme)
	internal := &apiextensions.CustomResourceDefinition{}
	defaulted := crd.DeepCopy()
	scheme.Default(defaulted)
	if err := scheme.Convert(defaulted, internal, nil); err != nil {
		return nil, err
	}
	if errs := crdvalidation.ValidateCustomResourceDefinition(context.Background(), internal); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}

	// A CRD of one version keeps its schema at the top of the internal type.
	props := internal.Spec.Validation.OpenAPIV3Schema
	structural, err := structuralschema.NewStructural(props)
	if err != nil {
		return nil, err
	}
	if errs := structuralschema.ValidateStructural(nil, structural); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	validator, _, err := validation.NewSchemaValidator(props)
	if err != nil {
		return nil, err
	}
	return &Kind{
		Name:       crd.Spec.Names.Kind,
		CRD:        crd,
		Schema:     crd.Spec.Versions[0].Schema.OpenAPIV3Schema,
		structural: structural,
		schema:     validator,
		rules:      cel.NewValidator(structural, true, celconfig.PerCallLimit),
	}, nil
}

// Check says why the apiserver would refuse object, as a change of old where
// old is not nil, in the apiserver's words. Unknown fields are refused, as by
// kubectl apply. Defaults are filled into object and old.
func (k *Kind) Check(object, old Object) []string {
	unknown, errs := k.judge(object, old)
	for _, err := range errs {
		unknown = append(unknown, err.Error())
	}
	return unknown
}

func (k *Kind) judge(object, old Object) (unknown []string, _ field.ErrorList) {
	track := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(object, k.structural, true, track) {
		unknown = append(unknown, fmt.Sprintf("unknown field %q", path))
	}
	if len(unknown) > 0 {
		return unknown, nil
	}
	defaulting.Default(object, k.structural)
	if old != nil {
		defaulting.Default(old, k.structural)
	}
	errs := validation.ValidateCustomResource(nil, object, k.schema)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, k.structural, object)...)
	if !blocks(errs) {
		errs = append(errs, evaluate(k.rules, k.structural, object, old)...)
	}
	return nil, errs
}

// Refused is Check for Go's types, which have no unknown fields; old may be nil.
func (k *Kind) Refused(object, old any) ([]string, error) {
	errs, err := k.Judge(object, old)
	var messages []string
	for _, err := range errs {
		messages = append(messages, err.Error())
	}
	return messages, err
}

// Judge says field by field why the apiserver would refuse an object of a Go
// type, as a change of old, which may be nil. Defaults are filled into object.
func (k *Kind) Judge(object, old any) (field.ErrorList, error) {
	o, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("judge an object: %w", err)
	}
	var was Object
	if old != nil && !reflect.ValueOf(old).IsNil() {
		if was, err = runtime.DefaultUnstructuredConverter.ToUnstructured(old); err != nil {
			return nil, fmt.Errorf("judge an object: %w", err)
		}
	}
	unknown, errs := k.judge(o, was)
	if len(unknown) > 0 {
		return nil, fmt.Errorf("judge an object: the CRD lacks what its Go type has: %s", strings.Join(unknown, "; "))
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o, object); err != nil {
		return nil, fmt.Errorf("judge an object: %w", err)
	}
	return errs, nil
}

// blocks says whether an error keeps the apiserver from evaluating rules.
func blocks(errs field.ErrorList) bool {
	for _, err := range errs {
		switch err.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong,
			field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return true
		}
	}
	return false
}

func evaluate(rules *cel.Validator, s *structuralschema.Structural, object, old Object) field.ErrorList {
	if rules == nil {
		return nil
	}
	var before any
	if old != nil {
		before = old
	}
	errs, _ := rules.Validate(context.Background(), nil, s, object, before, celconfig.RuntimeCELCostBudget)
	return errs
}

// Rule is one x-kubernetes-validations rule.
type Rule struct {
	// Path of the schema node, for example spec.relationships[].grants[].
	Path string
	Text string

	alone, inverse *rulebook
}

type rulebook struct {
	schema *structuralschema.Structural
	rules  *cel.Validator
}

// Refuses says whether this rule, all by itself, refuses the object.
func (r *Rule) Refuses(object, old Object) bool {
	return len(evaluate(r.alone.rules, r.alone.schema, object, old)) > 0
}

// Accepts says whether the rule is evaluated on the object and holds somewhere:
// then its inverse refuses.
func (r *Rule) Accepts(object, old Object) bool {
	return !r.Refuses(object, old) && len(evaluate(r.inverse.rules, r.inverse.schema, object, old)) > 0
}

// Rules lists every rule of the kind.
func (k *Kind) Rules() []*Rule {
	var rules []*Rule
	walk(k.structural, "", func(path string, s *structuralschema.Structural) {
		for _, rule := range s.XValidations {
			inverse := rule
			inverse.Rule, inverse.MessageExpression, inverse.Message = "!("+rule.Rule+")", "", "inverse"
			rules = append(rules, &Rule{
				Path: path, Text: rule.Rule,
				alone:   k.only(path, rule),
				inverse: k.only(path, inverse),
			})
		}
	})
	return rules
}

// only is the kind's rulebook with one rule left.
func (k *Kind) only(at string, rule apiextensionsv1.ValidationRule) *rulebook {
	s := k.structural.DeepCopy()
	walk(s, "", func(path string, s *structuralschema.Structural) {
		s.XValidations = nil
		if path == at {
			s.XValidations = apiextensionsv1.ValidationRules{rule}
		}
	})
	return &rulebook{schema: s, rules: cel.NewValidator(s, true, celconfig.PerCallLimit)}
}

// walk visits every node of a schema; visit may change it.
func walk(s *structuralschema.Structural, path string, visit func(string, *structuralschema.Structural)) {
	visit(path, s)
	if s.Items != nil {
		walk(s.Items, path+"[]", visit)
	}
	for name, child := range s.Properties {
		walk(&child, strings.TrimPrefix(path+"."+name, "."), visit)
		s.Properties[name] = child
	}
}

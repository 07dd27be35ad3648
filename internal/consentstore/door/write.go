package door

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consentstore"
)

// Create writes a customer's first consent.
func (s *storage) Create(ctx context.Context, o runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	c, ok := o.(*v1alpha1.CustomerConsent)
	switch {
	case !ok:
		return nil, apierrors.NewBadRequest("this is no CustomerConsent")
	case c.Name == "":
		return nil, apierrors.NewBadRequest("metadata.name: name the customer: it is the principal id, which nobody makes up here")
	case c.ResourceVersion != "":
		return nil, apierrors.NewBadRequest("metadata.resourceVersion: what is new has none")
	}
	c.Namespace, c.UID, c.Generation = request.NamespaceValue(ctx), "", 1
	c.CreationTimestamp = metav1.NewTime(s.Clock().UTC().Truncate(time.Second)) // admission compares answers' dates with it
	if err := s.judge(c, nil); err != nil {
		return nil, err
	}
	if validate != nil {
		if err := validate(ctx, c.DeepCopy()); err != nil {
			return nil, err
		}
	}
	if c.Namespace != s.Namespace { // admission has said so already, if it is codb's
		return nil, apierrors.NewForbidden(resource, c.Name, errors.New("customers are in namespace "+s.Namespace))
	}
	if dry(options.DryRun) {
		return s.shown(c), nil
	}
	written, err := s.put(ctx, c)
	if errors.Is(err, consentstore.ErrConflict) {
		return nil, apierrors.NewAlreadyExists(resource, c.Name)
	}
	if err != nil {
		return nil, s.problem(err, c.Name)
	}
	return written, nil
}

// Update changes a consent, or makes it for who applies it first.
func (s *storage) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, makes bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	old, err := s.now(ctx, name)
	if apierrors.IsNotFound(err) && makes && request.NamespaceValue(ctx) == s.Namespace {
		o, err := info.UpdatedObject(ctx, s.New())
		if err != nil {
			return nil, false, err
		}
		if c, ok := o.(*v1alpha1.CustomerConsent); ok && c.Name != name {
			return nil, false, errName
		}
		o, err = s.Create(ctx, o, create, &metav1.CreateOptions{DryRun: options.DryRun})
		return o, err == nil, err
	}
	if err != nil {
		return nil, false, err
	}
	o, err := info.UpdatedObject(ctx, old.DeepCopy())
	if err != nil {
		return nil, false, err
	}
	c, ok := o.(*v1alpha1.CustomerConsent)
	if !ok {
		return nil, false, apierrors.NewBadRequest("this is no CustomerConsent")
	}
	if err := s.inherit(c, old, info.Preconditions()); err != nil {
		return nil, false, err
	}
	if err := s.judge(c, old); err != nil {
		return nil, false, err
	}
	if update != nil {
		if err := update(ctx, c.DeepCopy(), old.DeepCopy()); err != nil {
			return nil, false, err
		}
	}
	if dry(options.DryRun) || same(c, old) {
		return s.shown(c), false, nil
	}
	written, err := s.put(ctx, c)
	if err != nil {
		return nil, false, s.problem(err, name)
	}
	return written, false, nil
}

var errName = apierrors.NewBadRequest("metadata.name: the name is the customer's id, and another one is another customer's")

// inherit makes sure that c is a change of old, and of what its writer saw.
func (s *storage) inherit(c, old *v1alpha1.CustomerConsent, p *metav1.Preconditions) error {
	if c.Name != old.Name {
		return errName
	}
	if c.ResourceVersion == "" {
		c.ResourceVersion = old.ResourceVersion
	}
	moved := p != nil && (p.UID != nil && *p.UID != old.UID || p.ResourceVersion != nil && *p.ResourceVersion != old.ResourceVersion)
	if moved || c.ResourceVersion != old.ResourceVersion || (c.UID != "" && c.UID != old.UID) {
		return apierrors.NewConflict(resource, c.Name, consentstore.ErrConflict)
	}
	c.Namespace, c.UID, c.CreationTimestamp, c.Generation = old.Namespace, old.UID, old.CreationTimestamp, old.Generation
	if !equality.Semantic.DeepEqual(c.Spec, old.Spec) {
		c.Generation++
	}
	return nil
}

// judge says what the apiserver would say of a custom resource.
func (s *storage) judge(c, old *v1alpha1.CustomerConsent) error {
	c.Status = v1alpha1.CustomerConsentStatus{}
	errs := apivalidation.ValidateObjectMeta(&c.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	if len(c.Finalizers) > 0 {
		errs = append(errs, field.Forbidden(field.NewPath("metadata", "finalizers"), "nothing waits for a consent to go; take them out"))
	}
	wrong, err := s.Judge(c, old)
	if err != nil {
		s.Log.Error(err, "a consent can't be judged")
		return apierrors.NewInternalError(errors.New("the consent can't be judged"))
	}
	if errs = append(errs, wrong...); len(errs) > 0 {
		return apierrors.NewInvalid(v1alpha1.StoreGroupVersion.WithKind("CustomerConsent").GroupKind(), c.Name, errs)
	}
	return nil
}

func (s *storage) put(ctx context.Context, c *v1alpha1.CustomerConsent) (*v1alpha1.CustomerConsent, error) {
	written, err := s.Store.Put(ctx, author(ctx), []*v1alpha1.CustomerConsent{c})
	if err != nil {
		return nil, err
	}
	return s.shown(written[0]), nil
}

// author is who writes, as the apiserver knows them.
func author(ctx context.Context) string {
	if who, ok := request.UserFrom(ctx); ok {
		return who.GetName()
	}
	return ""
}

// same says that nothing would change: then there is no new revision.
func same(c, old *v1alpha1.CustomerConsent) bool {
	return equality.Semantic.DeepEqual(c.Spec, old.Spec) && equality.Semantic.DeepEqual(c.Labels, old.Labels) &&
		equality.Semantic.DeepEqual(c.Annotations, old.Annotations) && equality.Semantic.DeepEqual(owners(c), owners(old))
}

// owners are who owns which fields. When they last wrote them is no change, and
// a database keeps the order of JSON's keys no more than JSON does.
func owners(c *v1alpha1.CustomerConsent) map[string]any {
	out := map[string]any{}
	for _, m := range c.ManagedFields {
		var fields any
		if m.FieldsV1 != nil {
			_ = json.Unmarshal(m.FieldsV1.GetRawBytes(), &fields) // what is none owns nothing
		}
		out[m.Manager+" "+string(m.Operation)+" "+m.APIVersion] = fields
	}
	return out
}

func dry(run []string) bool { return len(run) > 0 }

// Delete erases a customer, history and all. Admission asks for the verb erase.
func (s *storage) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	old, err := s.now(ctx, name)
	if err != nil {
		return nil, false, err
	}
	if p := options.Preconditions; p != nil && (p.UID != nil && *p.UID != old.UID || p.ResourceVersion != nil && *p.ResourceVersion != old.ResourceVersion) {
		return nil, false, apierrors.NewConflict(resource, name, consentstore.ErrConflict)
	}
	if validate != nil {
		if err := validate(ctx, old.DeepCopy()); err != nil {
			return nil, false, err
		}
	}
	if dry(options.DryRun) {
		return old, true, nil
	}
	if err := s.Store.Erase(ctx, author(ctx), name); err != nil {
		return nil, false, s.problem(err, name)
	}
	return old, true, nil
}

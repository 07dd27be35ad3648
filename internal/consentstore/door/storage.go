package door

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/consentstore"
)

// Store is where consents are; consentstore.Database is one.
type Store interface {
	Now(ctx context.Context, name string) (*v1alpha1.CustomerConsent, error)
	Page(ctx context.Context, after string, limit int) (page []*v1alpha1.CustomerConsent, revision string, err error)
	Put(ctx context.Context, author string, consents []*v1alpha1.CustomerConsent) ([]*v1alpha1.CustomerConsent, error)
	Erase(ctx context.Context, author, name string) error
	Changes(ctx context.Context, after int64, limit int) (changes []consentstore.Change, head int64, err error)
	Changed() <-chan struct{}
}

// storage serves CustomerConsents. Many can't be deleted at once.
type storage struct {
	Options
	rest.TableConvertor
}

var (
	_ rest.Getter              = &storage{}
	_ rest.Lister              = &storage{}
	_ rest.Watcher             = &storage{}
	_ rest.CreaterUpdater      = &storage{}
	_ rest.GracefulDeleter     = &storage{}
	_ rest.ResetFieldsStrategy = &storage{}
	_ rest.ShortNamesProvider  = &storage{}
)

func newStorage(o Options) (*storage, error) {
	table, err := tableconvertor.New(o.CRD.Spec.Versions[0].AdditionalPrinterColumns)
	return &storage{o, table}, err
}

func (s *storage) New() runtime.Object     { return &v1alpha1.CustomerConsent{} }
func (s *storage) NewList() runtime.Object { return &v1alpha1.CustomerConsentList{} }
func (s *storage) Destroy()                {}
func (s *storage) NamespaceScoped() bool   { return true }
func (s *storage) GetSingularName() string { return s.CRD.Spec.Names.Singular }
func (s *storage) ShortNames() []string    { return s.CRD.Spec.Names.ShortNames }
func (s *storage) Categories() []string    { return s.CRD.Spec.Names.Categories }

// GetResetFields says that nobody owns the status: it is what the answers
// amount to at the moment of reading.
func (s *storage) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1alpha1.StoreGroupVersion.String()): fieldpath.NewSet(fieldpath.MakePathOrDie("status")),
	}
}

// shown is the consent as it is shown: in this group, and with a status.
func (s *storage) shown(c *v1alpha1.CustomerConsent) *v1alpha1.CustomerConsent {
	c = c.DeepCopy()
	c.SetGroupVersionKind(v1alpha1.StoreGroupVersion.WithKind("CustomerConsent"))
	c.Status = v1alpha1.CustomerConsentStatus{}
	consent.Report(c, consent.StandingAt(&c.Spec, s.Clock()), c.CreationTimestamp.Time)
	return c
}

// Get reads one customer.
func (s *storage) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	c, err := s.now(ctx, name)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (s *storage) now(ctx context.Context, name string) (*v1alpha1.CustomerConsent, error) {
	if request.NamespaceValue(ctx) != s.Namespace {
		return nil, apierrors.NewNotFound(resource, name)
	}
	c, err := s.Store.Now(ctx, name)
	if err != nil {
		return nil, s.problem(err, name)
	}
	return s.shown(c), nil
}

// problem is what a caller is told; the rest is for the log, without the
// customer.
func (s *storage) problem(err error, name string) error {
	switch {
	case errors.Is(err, consentstore.ErrNotFound):
		return apierrors.NewNotFound(resource, name)
	case errors.Is(err, consentstore.ErrConflict):
		return apierrors.NewConflict(resource, name, consentstore.ErrConflict)
	case errors.Is(err, context.Canceled):
		return err
	}
	s.Log.Error(err, "the consents can't be reached")
	return apierrors.NewServiceUnavailable("the database of consents does not answer as it should; nothing is known to be written: try again")
}

const (
	pageOf = 500    // how many customers are looked at in one go
	most   = 10_000 // how many are listed at once
)

// List lists customers by name. Whoever wants more than can be held has to ask
// page by page. A watch from the list's revision on brings what changed since,
// and may bring again what was listed later.
func (s *storage) List(ctx context.Context, o *metainternalversion.ListOptions) (runtime.Object, error) {
	list := &v1alpha1.CustomerConsentList{Items: []v1alpha1.CustomerConsent{}}
	q, err := s.readQuery(ctx, o)
	if err != nil {
		return nil, err
	}
	for len(list.Items) < q.limit {
		page, err := s.page(ctx, q)
		if err != nil {
			return nil, s.problem(err, "")
		}
		list.ResourceVersion = q.revision
		for i, c := range page {
			if c := s.shown(c); q.matches(c) {
				list.Items = append(list.Items, *c)
			}
			q.after = c.Name
			if len(list.Items) == q.limit && i+1 < len(page) {
				break
			}
		}
		if len(page) < pageOf && len(list.Items) < q.limit {
			return list, nil
		}
	}
	if q.all {
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("more than %d customers: ask for them page by page, with limit and continue", most))
	}
	list.Continue = base64.RawURLEncoding.EncodeToString([]byte(q.revision + "/" + q.after))
	return list, nil
}

// page reads those who come next, and the revision that the first of them are of
// or later.
func (s *storage) page(ctx context.Context, q *query) (page []*v1alpha1.CustomerConsent, err error) {
	name, one := q.fields.RequiresExactMatch("metadata.name")
	revision := ""
	if !one && !q.nobody {
		page, revision, err = s.Store.Page(ctx, q.after, pageOf)
	} else {
		var head int64
		_, head, err = s.Store.Changes(ctx, math.MaxInt64, 1)
		revision = strconv.FormatInt(head, 10)
		if err == nil && !q.nobody {
			page, err = s.just(ctx, name)
		}
	}
	q.revision = cmp.Or(q.revision, revision)
	return page, err
}

// just is the one customer, or nobody.
func (s *storage) just(ctx context.Context, name string) ([]*v1alpha1.CustomerConsent, error) {
	c, err := s.Store.Now(ctx, name)
	if errors.Is(err, consentstore.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []*v1alpha1.CustomerConsent{c}, nil
}

// query is what a list or a watch is about.
type query struct {
	nobody   bool // is in the namespace
	labels   labels.Selector
	fields   fields.Selector
	limit    int
	revision string // of the first page
	after    string
	all      bool // no limit was asked for
}

func (s *storage) readQuery(ctx context.Context, o *metainternalversion.ListOptions) (*query, error) {
	q := &query{labels: labels.Everything(), fields: fields.Everything(), limit: most + 1, all: true}
	ns := request.NamespaceValue(ctx)
	q.nobody = ns != "" && ns != s.Namespace
	if o == nil {
		return q, nil
	}
	if o.LabelSelector != nil {
		q.labels = o.LabelSelector
	}
	if o.FieldSelector != nil {
		q.fields = o.FieldSelector
	}
	if o.Limit > 0 {
		q.limit, q.all = int(min(o.Limit, most)), false
	}
	if o.Continue == "" {
		return q, nil
	}
	token, err := base64.RawURLEncoding.DecodeString(o.Continue)
	known := false
	if q.revision, q.after, known = strings.Cut(string(token), "/"); err != nil || !known {
		return nil, apierrors.NewBadRequest("continue: this is not what a list ended with")
	}
	return q, nil
}

func (q *query) matches(c *v1alpha1.CustomerConsent) bool {
	return !q.nobody && q.labels.Matches(labels.Set(c.Labels)) && q.fields.Matches(selectableFields(c))
}

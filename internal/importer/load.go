package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
)

const (
	// batch of rows whose contacts are appended before their customers.
	batch = 250
	// named is how many refused lines an error names.
	named = 10
	// pulse is how often progress is said.
	pulse = 2 * time.Second
)

// loader writes rows to a cluster.
type loader struct {
	mapper      Mapper
	client      client.Client
	contacts    Contacts
	namespace   string
	group       schema.GroupVersion
	concurrency int
	out         io.Writer
	start       time.Time

	mu      sync.Mutex
	report  Report
	refused []string
	said    time.Time
}

func (l *loader) load(ctx context.Context, rows []Row) (Report, error) {
	for some := range slices.Chunk(rows, batch) {
		if err := l.loadBatch(ctx, some, len(rows)); err != nil {
			return l.report, fmt.Errorf("import stopped after %d of %d customers: %w; run it again to go on", l.report.Customers, len(rows), err)
		}
	}
	l.report.Took = time.Since(l.start)
	fmt.Fprintf(l.out, "%d customers and %d past contacts in %s (%.0f customers a second); %d kept as changed since, %d refused\n",
		l.report.Customers, l.report.Contacts, l.report.Took.Round(100*time.Millisecond), l.rate(), l.report.Kept, l.report.Refused)
	if l.report.Refused > 0 {
		slices.Sort(l.refused)
		return l.report, fmt.Errorf("%d of %d customers refused: %s", l.report.Refused, len(rows), strings.Join(l.refused[:min(named, len(l.refused))], "; "))
	}
	return l.report, nil
}

func (l *loader) loadBatch(caller context.Context, rows []Row, total int) error {
	customers := make([]v1alpha1.CustomerConsent, len(rows))
	var past []contacts.Record
	for i, r := range rows {
		cc, records := l.mapper.Map(r)
		customers[i] = cc
		past = append(past, records...)
	}
	if err := l.remember(caller, past); err != nil {
		return fmt.Errorf("append the past contacts of lines %d to %d: %w", rows[0].Line, rows[len(rows)-1].Line, err)
	}
	g, ctx := errgroup.WithContext(caller)
	g.SetLimit(l.concurrency)
	for i := range rows {
		if ctx.Err() != nil {
			break // the first error, or the caller, ended it
		}
		g.Go(func() error {
			return l.count(rows[i].Line, total, l.apply(ctx, &customers[i]))
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return caller.Err()
}

// remember appends records to the ledger, as many at once as it takes.
func (l *loader) remember(ctx context.Context, past []contacts.Record) error {
	for some := range slices.Chunk(past, contacts.MaxBatch) {
		_, err := l.contacts.Append(ctx, some)
		if errors.Is(err, contacts.ErrConflict) {
			return fmt.Errorf("%w: the ledger has another past of these customers; import with the profile and as-of of the first time", err)
		}
		if err != nil {
			return err
		}
		l.report.Contacts += len(some)
	}
	return nil
}

// apply is one server-side apply without force: it creates, repairs what the
// importer wrote and, where somebody has changed that since, conflicts. What
// others added, an opt-out above all, stays.
func (l *loader) apply(ctx context.Context, cc *v1alpha1.CustomerConsent) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(cc)
	if err != nil {
		return fmt.Errorf("convert customer: %w", err)
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetNamespace(l.namespace)
	u.SetAPIVersion(l.group.String())
	unstructured.RemoveNestedField(u.Object, "status")
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	// One owner a brand: the import of a second brand must not end what the
	// customer has with the first.
	return l.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("codb-import-"+l.mapper.Brand))
}

// count books one answer of the apiserver. An error about this customer alone
// is remembered by its line; any other one is returned, and ends the import.
func (l *loader) count(line, total int, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.report.Customers++
	case apierrors.IsConflict(err):
		l.report.Kept++
	case apierrors.IsInvalid(err):
		l.report.Refused++
		l.refused = append(l.refused, fmt.Sprintf("line %d: %s", line, impersonal(err)))
	default:
		return fmt.Errorf("apply the customer of line %d: %w", line, impersonal(err))
	}
	if now := time.Now(); now.Sub(l.said) >= pulse {
		l.said = now
		done := l.report.Customers + l.report.Kept + l.report.Refused
		left := time.Duration(float64(now.Sub(l.start)) / float64(done) * float64(total-done))
		fmt.Fprintf(l.out, "%d of %d customers, %.0f a second, %s left\n", done, total, l.rate(), left.Round(time.Second))
	}
	return nil
}

func (l *loader) rate() float64 {
	done := l.report.Customers + l.report.Kept + l.report.Refused
	return float64(done) / max(time.Since(l.start).Seconds(), 0.001)
}

// impersonal says what went wrong without the customer: the apiserver's words
// have the object's name in them, and so has a URL.
func impersonal(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		s := status.Status()
		out := []string{string(s.Reason)}
		if s.Details != nil {
			for _, c := range s.Details.Causes {
				if c.Field != "" {
					out = append(out, c.Field+" "+string(c.Type))
				}
			}
		}
		if s.Reason == metav1.StatusReasonNotFound {
			out = append(out, "is codb installed, and is the namespace there?")
		}
		return errors.New(strings.Join(out, ", "))
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

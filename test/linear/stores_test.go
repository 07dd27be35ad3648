package linear

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/internal/permit"
	"github.com/codb-dev/codb/test/fleet"
	"github.com/codb-dev/codb/test/postgres"
)

// answers are what customers say, and a store that hears of it late.
type answers struct {
	store interface {
		Customers() *audience.Table
		Fence(ctx context.Context) (string, error)
		Revision() string
		Synced() bool
	}
	value    string // label of the customers
	ids      []string
	withdraw func(context.Context, string) error
	lag      func(long bool)
	at       string // of the database that has them, if one does
}

const (
	// little is how late news are, much later than whoever hurries.
	little, much = 30 * time.Millisecond, 5 * time.Second
)

func newAnswers() *answers {
	a := &answers{value: fmt.Sprintf("v%d", time.Now().UnixNano())}
	for i := range people {
		a.ids = append(a.ids, fmt.Sprintf("c-%s-%d", a.value, i))
	}
	return a
}

// arrived waits until everybody has.
func (a *answers) arrived(t *testing.T) {
	t.Helper()
	fleet.Until(t, "all consents have arrived", time.Minute, func() error {
		if _, err := a.store.Fence(t.Context()); err != nil || !a.store.Synced() {
			return fmt.Errorf("synced %t: %w", a.store.Synced(), err)
		}
		return nil
	})
}

// late brings what is watched late.
type late struct {
	http.RoundTripper
	by *atomic.Int64
}

func (l late) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := l.RoundTripper.RoundTrip(req)
	if err == nil && req.URL.Query().Has("watch") && strings.Contains(req.URL.Path, "customerconsents") {
		answer.Body = slow{answer.Body, l.by}
	}
	return answer, err
}

type slow struct {
	io.ReadCloser
	by *atomic.Int64
}

func (s slow) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	<-time.After(time.Duration(s.by.Load()))
	return n, err
}

// resources are answers in custom resources.
func resources(t *testing.T) *answers {
	a, by := newAnswers(), &atomic.Int64{}
	by.Store(int64(little))
	cfg := rest.CopyConfig(env.Config)
	cfg.Wrap(func(rt http.RoundTripper) http.RoundTripper { return late{rt, by} })
	for _, id := range a.ids {
		must(t, env.Client.Create(t.Context(), fleet.Customer(id, a.value)))
	}
	watching, err := client.NewWithWatch(cfg, client.Options{Scheme: env.Scheme})
	must(t, err)
	s := consentstore.New(watching, env.As(t, "system:serviceaccount:"+v1alpha1.SystemNamespace+":codb-gate"), v1alpha1.CustomersNamespace)
	go func() { _ = s.Start(t.Context()) }() // it ends with the test
	a.store = s
	a.lag = func(long bool) {
		by.Store(int64(little))
		if long {
			by.Store(int64(much))
		}
	}
	a.withdraw = func(ctx context.Context, id string) error {
		o := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.CustomersNamespace, Name: id}}
		no := fmt.Appendf(nil, `{"spec":{"optOut":{"since":%q}}}`, time.Now().UTC().Format(time.RFC3339))
		return env.Client.Patch(ctx, o, client.RawPatch("application/merge-patch+json", no))
	}
	a.arrived(t)
	return a
}

// table are answers in a database; who reads them has a slow line.
func table(t *testing.T) *answers {
	a := newAnswers()
	a.at = postgres.Place(t)
	o := consentstore.DatabaseOptions{
		Namespace: v1alpha1.CustomersNamespace,
		Refused:   func(_, _ *v1alpha1.CustomerConsent) ([]string, error) { return nil, nil },
	}
	writer, err := consentstore.OpenDatabase(t.Context(), a.at, o)
	must(t, err)
	t.Cleanup(writer.Close)
	said := map[string]*v1alpha1.CustomerConsent{}
	for _, id := range a.ids {
		put, err := writer.Put(t.Context(), "test", []*v1alpha1.CustomerConsent{fleet.Customer(id, a.value)})
		must(t, err)
		said[id] = put[0]
	}
	line := postgres.Behind(t, a.at)
	reader, err := consentstore.OpenDatabase(t.Context(), line.URL(), o)
	must(t, err)
	t.Cleanup(reader.Close)
	a.store = reader
	a.arrived(t)
	a.lag = func(long bool) {
		line.Latency.Store(int64(little))
		if long {
			line.Latency.Store(int64(much))
		}
	}
	a.lag(false)
	a.withdraw = func(ctx context.Context, id string) error {
		o := said[id].DeepCopy()
		o.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.NewTime(time.Now().Truncate(time.Second))}
		_, err := writer.Put(ctx, "test", []*v1alpha1.CustomerConsent{o})
		return err
	}
	return a
}

func file(t *testing.T, _ *answers) []gate.Reserving {
	f, err := ledger.Open(filepath.Join(t.TempDir(), "contacts.db"), ledger.Options{})
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return []gate.Reserving{f}
}

// database is one ledger for two gates.
func database(t *testing.T, _ *answers) []gate.Reserving {
	return gates(t, postgres.Place(t), func(*ledger.Database) {})
}

// joined is one that asks for the consents in its transactions.
func joined(t *testing.T, a *answers) []gate.Reserving {
	return gates(t, a.at, func(d *ledger.Database) { must(t, d.Require(t.Context(), a.store.(ledger.Condition))) })
}

func gates(t *testing.T, at string, prepare func(*ledger.Database)) (out []gate.Reserving) {
	for range 2 {
		d, err := ledger.OpenDatabase(t.Context(), at, ledger.DatabaseOptions{})
		must(t, err)
		t.Cleanup(func() { _ = d.Close() })
		prepare(d)
		out = append(out, d)
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func desk(l gate.Reserving, w *world) *gate.Desk {
	return gate.NewDesk(gate.DeskOptions{Ledger: l, World: w, Clock: time.Now, Log: logr.Discard()})
}

// world is that of a gate which proves what it knows, or doesn't.
type world struct {
	answers *answers
	fenced  bool
}

func (w *world) Records() audience.Records { return w.answers.store.Customers() }

func (w *world) Current(ctx context.Context, h gate.Holder) (*gate.Case, error) {
	revision := w.answers.store.Revision()
	if w.fenced {
		var err error
		if revision, err = w.answers.store.Fence(ctx); err != nil {
			return nil, err
		}
	}
	c := fleet.Campaign("acme-shop", h.Campaign.Name, w.answers.value, nil)
	return &gate.Case{
		Terms:    permit.Terms{Campaign: h.Campaign, Facts: decision.Facts(c, v1alpha1.ClassMarketing), ConsentRevision: revision},
		Audience: &c.Spec.Audience, Judge: optOuts{}, Key: h.Campaign.Name,
	}, nil
}

// optOuts denies who opted out.
type optOuts struct{}

func (optOuts) Digest() string { return "" }

func (optOuts) Judge(_ context.Context, q decision.Question) ([]decision.Answer, error) {
	out := make([]decision.Answer, len(q.Subjects))
	for i := range q.Subjects {
		if q.Subjects[i].Person.OptOut != nil {
			out[i].Reasons = []decision.Reason{{Code: "OptedOut", Verdict: v1alpha1.VerdictDeny}}
		}
	}
	return out, nil
}

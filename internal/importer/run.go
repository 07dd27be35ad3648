package importer

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
)

// Contacts keeps past contacts: the gate. Appending the same record a second
// time changes nothing; another one under its key is contacts.ErrConflict.
type Contacts interface {
	Append(ctx context.Context, records []contacts.Record) ([]contacts.Result, error)
}

// Options of one import. What isn't called optional is needed.
type Options struct {
	// File is bank-additional-full.csv, plain or gzipped.
	File string
	// Limit is the size of the sample; 0 takes every row. The sample is drawn
	// under Seed and keeps the shares of purchasers and of people called more
	// than 3 times.
	Limit int
	// Profile is as-recorded or demo.
	Profile string
	// Brand that called.
	Brand string
	// Namespace of the customers.
	Namespace string
	// Seed of everything that is made up; DefaultSeed unless there is a reason.
	Seed uint64
	// AsOf is the instant before which the past lies. Whole days count: every
	// import as of the same day gives the same bytes. A second import into the
	// same ledger needs the same day.
	AsOf time.Time

	// Client writes the customers; see NewClient.
	Client client.Client
	// Contacts keeps their past.
	Contacts Contacts
	// Group of the API that takes the customers; empty: that of the CRD.
	Group schema.GroupVersion

	// Progress is optional: where to say how far the import is.
	Progress io.Writer
	// Concurrency is optional: how many customers are written at once; 16.
	Concurrency int
}

// Report counts what an import did.
type Report struct {
	// Customers that now stand as imported.
	Customers int
	// Kept are customers whose record somebody has changed since: what they said
	// themselves stays.
	Kept int
	// Refused are rows whose customer the apiserver didn't take.
	Refused int
	// Contacts and events of theirs that the ledger has.
	Contacts int
	// Took is how long it lasted.
	Took time.Duration
}

// NewClient returns a client for imports: the apiserver's own fairness limits
// it, client-go doesn't.
func NewClient(cfg *rest.Config) (client.Client, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.RateLimiter = -1, nil
	c, err := client.New(cfg, client.Options{})
	if err != nil {
		return nil, fmt.Errorf("make a client for the import: %w", err)
	}
	return c, nil
}

// Run imports customers and their past. The past comes first, so that no
// customer can be contacted before the caps know what happened. A second run
// changes nothing, and a run that was cut short is completed by the next.
func Run(ctx context.Context, o Options) (Report, error) {
	m, err := o.mapper()
	if err != nil {
		return Report{}, err
	}
	rows, err := readFile(o.File)
	if err != nil {
		return Report{}, err
	}
	start := time.Now()
	l := loader{
		mapper: m, client: o.Client, contacts: o.Contacts, namespace: o.Namespace,
		concurrency: o.Concurrency, out: o.Progress, start: start, said: start, group: o.Group,
	}
	if l.group.Empty() {
		l.group = v1alpha1.SchemeGroupVersion
	}
	if l.concurrency == 0 {
		l.concurrency = 16
	}
	if l.out == nil {
		l.out = io.Discard
	}
	return l.load(ctx, m.sample(rows, o.Limit))
}

var name = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// mapper checks the options: what is missing or out of bounds is refused
// before anything is written.
func (o Options) mapper() (Mapper, error) {
	p, err := ProfileNamed(o.Profile)
	if err != nil {
		return Mapper{}, err
	}
	switch {
	case !name.MatchString(o.Brand):
		return Mapper{}, fmt.Errorf("brand %q is no name of a Brand: use at most 63 of a-z, 0-9 and -", o.Brand)
	case !name.MatchString(o.Namespace):
		return Mapper{}, fmt.Errorf("namespace %q is no name of a namespace: customers usually live in %s", o.Namespace, v1alpha1.CustomersNamespace)
	case o.Limit < 0:
		return Mapper{}, fmt.Errorf("limit %d is negative: use 0 for every row", o.Limit)
	case o.Concurrency < 0:
		return Mapper{}, fmt.Errorf("concurrency %d is negative: use 0 for 16", o.Concurrency)
	case o.AsOf.Year() < 2022 || o.AsOf.Year() > 2200:
		// Before 2022, the oldest age that a row may have is no birthYear of the API.
		return Mapper{}, fmt.Errorf("as-of %s is out of bounds: use a day from 2022 to 2200", o.AsOf.Format(time.DateOnly))
	case o.Client == nil:
		return Mapper{}, errors.New("no client to write customers with: use NewClient")
	case o.Contacts == nil:
		return Mapper{}, errors.New("nothing keeps past contacts: without them caps would allow what they must hold; pass the gate")
	}
	return Mapper{Seed: o.Seed, AsOf: o.AsOf, Profile: p, Brand: o.Brand}, nil
}

func readFile(path string) ([]Row, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the data set: %w", err)
	}
	defer f.Close() // read only: nothing is lost
	var rows []Row
	in, err := plain(f)
	if err == nil {
		err = Read(in, func(r Row) error { rows = append(rows, r); return nil })
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rows, nil
}

// plain unpacks r where it is gzipped.
func plain(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	if magic, _ := b.Peek(2); string(magic) != "\x1f\x8b" {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return z, nil
}

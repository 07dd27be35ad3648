package consentstore_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/test/postgres"
)

// BenchmarkCustomers loads CUSTOMERS (20,000 where nothing is said) consents
// like the sample's into PostgreSQL, through the door, and starts a store on
// them. Run it with -benchtime 1x.
func BenchmarkCustomers(b *testing.B) {
	n := 20_000
	if s := os.Getenv("CUSTOMERS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	text, err := os.ReadFile("../../config/samples/customerconsent-c-7f3a.yaml")
	if err != nil {
		b.Fatal(err)
	}
	var sample v1alpha1.CustomerConsent
	if err := yaml.Unmarshal(text, &sample); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		at := postgres.Place(b)
		began := time.Now()
		load(b, at, &sample, n)
		b.ReportMetric(float64(n)/time.Since(began).Seconds(), "loaded/s")

		before := heap()
		began = time.Now()
		d := openAt(b, at, 0)
		for changed := d.Changed(); !d.Synced(); changed = d.Changed() {
			<-changed
		}
		b.ReportMetric(float64(n)/time.Since(began).Seconds(), "started/s")
		b.ReportMetric(float64(heap()-before)/float64(n), "B/customer")
		if d.Customers().Len() != n {
			b.Errorf("%d customers, want %d", d.Customers().Len(), n)
		}
		began = time.Now()
		const trials = 200
		for range trials {
			if _, err := d.Fence(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/trials, "µs/fence")
	}
}

func load(b *testing.B, at string, sample *v1alpha1.CustomerConsent, n int) {
	b.Helper()
	d := openAt(b, at, 0)
	defer d.Close()
	batches := make(chan []*v1alpha1.CustomerConsent)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for batch := range batches {
				if _, err := d.Put(b.Context(), "load", batch); err != nil {
					b.Error(err)
				}
			}
		})
	}
	const batchOf = 250
	for from := 0; from < n; from += batchOf {
		batch := make([]*v1alpha1.CustomerConsent, 0, batchOf)
		for i := from; i < min(from+batchOf, n); i++ {
			c := sample.DeepCopy()
			c.Name = fmt.Sprintf("c-%07d", i)
			batch = append(batch, c)
		}
		batches <- batch
	}
	close(batches)
	wg.Wait()
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

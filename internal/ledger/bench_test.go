package ledger_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/codb-dev/codb/internal/ledger"
	"github.com/codb-dev/codb/internal/ledger/ledgertest"
)

// BenchmarkAppend appends with the disk synced at each commit; records/s is
// what counts. Principals are spread over 41,188 as in the bank's campaign. If is
// AppendIf with all of the past seen.
func BenchmarkAppend(b *testing.B) {
	for _, store := range []struct {
		name string
		open ledgertest.Open
	}{{"file", openFile}, {"database", openDatabase}} {
		for _, size := range []int{1, 1000} {
			for _, writers := range []int{1, 64} {
				for _, seen := range []bool{false, true} {
					b.Run(fmt.Sprintf("%s/batch=%d/writers=%d/if=%v", store.name, size, writers, seen), func(b *testing.B) {
						s, err := store.open(b.TempDir(), options().Clock)
						if err != nil {
							b.Fatal(err)
						}
						defer func() { _ = s.Close() }()
						appendMany(b, s, size, writers, seen)
					})
				}
			}
		}
	}
}

func appendMany(b *testing.B, s ledger.Store, size, writers int, seen bool) {
	var (
		n, left atomic.Int64
		wg      sync.WaitGroup
	)
	left.Store(int64(b.N))
	b.ResetTimer()
	for range writers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				appendBatch(b, s, n.Add(int64(size)), size, seen)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(s.Sequence())/b.Elapsed().Seconds(), "records/s")
}

func appendBatch(b *testing.B, s ledger.Store, from int64, size int, seen bool) {
	batch := make([]ledger.Record, size)
	known := map[string]uint64{}
	for i := range batch {
		n := from + int64(i)
		batch[i] = record(int(n))
		batch[i].Principal = fmt.Sprint("c-", n*7919%41188)
		known[batch[i].Principal] = math.MaxInt64
	}
	var err error
	if seen {
		_, err = s.AppendIf(b.Context(), batch, known)
	} else {
		_, err = s.Append(b.Context(), batch)
	}
	if err != nil {
		b.Error(err)
	}
}

// BenchmarkOpenAndRead opens a ledger of 200,000 records and reads all of it,
// as an operator does that starts; B/record is the file's size.
func BenchmarkOpenAndRead(b *testing.B) {
	const n = 200_000
	path := filepath.Join(b.TempDir(), "contacts.db")
	f, err := ledger.Open(path, options())
	if err != nil {
		b.Fatal(err)
	}
	for i := int64(0); i < n; i += 1000 {
		appendBatch(b, f, i, 1000, false)
	}
	_ = f.Close()
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f, err := ledger.Open(path, options())
		if err != nil {
			b.Fatal(err)
		}
		for after := uint64(0); after < n; {
			page, err := f.After(b.Context(), after, 1000)
			if err != nil {
				b.Fatal(err)
			}
			after += uint64(len(page.Records))
		}
		_ = f.Close()
	}
	b.ReportMetric(float64(info.Size())/n, "B/record")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}

package ledger_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/codb-dev/codb/internal/ledger"
)

// BenchmarkAppend appends with the disk synced at each commit; records/s is
// what counts. Principals are spread over 41,188 as in the bank's campaign.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 1000} {
		for _, writers := range []int{1, 64} {
			b.Run(fmt.Sprintf("batch=%d/writers=%d", size, writers), func(b *testing.B) {
				f, err := ledger.Open(filepath.Join(b.TempDir(), "contacts.db"), options())
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = f.Close() }()
				var n atomic.Int64
				b.SetParallelism(writers)
				if writers == 1 {
					b.ResetTimer()
					for b.Loop() {
						appendBatch(b, f, n.Add(int64(size)), size)
					}
				} else {
					b.SetParallelism((writers + 1) / 2)
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							appendBatch(b, f, n.Add(int64(size)), size)
						}
					})
				}
				b.ReportMetric(float64(f.Sequence())/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}

func appendBatch(b *testing.B, f *ledger.File, from int64, size int) {
	batch := make([]ledger.Record, size)
	for i := range batch {
		n := from + int64(i)
		batch[i] = record(int(n))
		batch[i].Principal = fmt.Sprint("c-", n*7919%41188)
	}
	if _, err := f.Append(b.Context(), batch); err != nil {
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
		appendBatch(b, f, i, 1000)
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

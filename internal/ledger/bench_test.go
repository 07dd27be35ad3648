package ledger_test

import (
	"fmt"
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

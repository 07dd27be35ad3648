package gate

import (
	"fmt"
	"testing"

	"github.com/codb-dev/codb/internal/contacts"
)

// BenchmarkAppendAndFollow appends 20,000 records through TLS, JSON and a disk
// that is synced, and ends when a projection that follows has them all. It is
// what releasing a campaign to 20,000 people takes.
func BenchmarkAppendAndFollow(b *testing.B) {
	const n = 20_000
	h := newHouse(b)
	c := h.client()
	p := follow(b, c)
	round := 0
	for b.Loop() {
		records := make([]contacts.Record, n)
		for i := range records {
			records[i] = sent(round*n+i, fmt.Sprint("c-", i))
		}
		round++
		if _, err := c.Append(b.Context(), records); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Fence(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(round*n)/b.Elapsed().Seconds(), "records/s")
}

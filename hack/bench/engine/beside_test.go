package main

import (
	"testing"
	"time"

	"github.com/codb-dev/codb/internal/decision"
)

// BenchmarkBeside has the engine and the loop by hand decide by turns, which says
// how far the one is from the other however busy the machine is.
func BenchmarkBeside(b *testing.B) {
	rows, err := bank(dataSet)
	if err != nil {
		b.Fatal(err)
	}
	lib, ps, err := rules(baseline)
	if err != nil {
		b.Fatal(err)
	}
	of := bench{lib: lib}
	engine, err := of.engineOf(ps[1])
	if err != nil {
		b.Fatal(err)
	}
	people := newCustomers(100_000, rows)
	raws, err := raws(people)
	if err != nil {
		b.Fatal(err)
	}
	x := newExpert(&campaign, now, dictionariesOf(&people.chunks[0]))
	if _, err := native(b.Context(), engine, people, []decision.Campaign{campaign}); err != nil { // it makes its plan
		b.Fatal(err)
	}
	var took [2]time.Duration
	decisions := 0
	b.ReportAllocs()
	for b.Loop() {
		began := processorTime()
		n, err := native(b.Context(), engine, people, []decision.Campaign{campaign})
		if err != nil {
			b.Fatal(err)
		}
		between := processorTime()
		if _, err := byHand(x, raws, people, 1); err != nil {
			b.Fatal(err)
		}
		took[0] += between - began
		took[1] += processorTime() - between
		decisions += n
	}

	b.ReportMetric(float64(took[0])/float64(decisions), "engine-ns")
	b.ReportMetric(float64(took[1])/float64(decisions), "hand-ns")
	b.ReportMetric(float64(took[0])/float64(took[1]), "engine/hand")
}

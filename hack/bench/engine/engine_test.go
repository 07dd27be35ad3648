package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/expr"
)

// The engine starts this very program again for OPA to confirm what it says.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "policy-worker" {
		worker()
	}
	os.Exit(m.Run())
}

const (
	dataSet  = "../../../test/data/bank-additional-full.csv.gz"
	baseline = "../../../config/policy/baseline.yaml"
)

// The hand-written loop, OPA, its plan and CEL say the same, about campaigns of
// all kinds.
func TestEverybodySaysTheSame(t *testing.T) {
	rows, err := bank(dataSet)
	if err != nil {
		t.Fatal(err)
	}
	_, ps, err := rules(baseline)
	if err != nil {
		t.Fatal(err)
	}
	o, err := newOPA(t.Context(), ps[1].Rules)
	if err != nil {
		t.Fatal(err)
	}
	people := newCustomers(8000, rows)
	all := campaigns(30)
	all = append(all, campaign)
	for i := range all {
		n, err := checkSlow(t.Context(), o, people, &all[i], 60)
		if err != nil {
			t.Errorf("%v: %v", all[i], err)
		}
		if i == len(all)-1 {
			t.Logf("%d of 60 are allowed", n)
		}
	}
}

// The whole program runs on little, and finds the engine to say the same as the
// loop about everybody.
func TestMeasureQuickly(t *testing.T) {
	o := options{root: "../../..", sizes: []int{500, 1500}, main: 1500, rounds: 1, slow: 15, many: 5}
	text, err := o.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Log(text)
	for _, want := range []string{"OPA, prepared query", "codb's engine", "by hand", "5 campaigns at once", "a new campaign"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report says nothing of %q:\n%s", want, text)
		}
	}
}

// What arrives at codb of a customer is the customer.
func TestObjectsArePeople(t *testing.T) {
	rows, err := bank(dataSet)
	if err != nil {
		t.Fatal(err)
	}
	people := newCustomers(expr.Chunk, rows)
	for row := range 500 {
		want := people.Subject(0, row, &campaign).Person
		got := consent.For(&object(row, &want).Spec, brand)
		want.Bucket = 0
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("customer %d (-drawn +read):\n%s", row, diff)
		}
	}
}

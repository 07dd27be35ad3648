package importer

import (
	"bytes"
	"cmp"
	"slices"
)

// stratum is a kind of row whose share of the whole a sample keeps: how the
// earlier campaign ended, and whether the customer was called too often.
type stratum struct {
	outcome    string
	overcalled bool
}

// sample picks limit rows, the same ones under the same seed, so that every
// stratum keeps its share (by largest remainder). They come back in the order
// of the file. A limit of 0, or beyond the rows, takes them all.
func (m Mapper) sample(rows []Row, limit int) []Row {
	if limit == 0 || limit >= len(rows) {
		return rows
	}
	strata := map[stratum][]Row{}
	for _, r := range rows {
		s := stratum{r.Outcome, r.Calls >= overcalledFrom}
		strata[s] = append(strata[s], r)
	}
	order := make([]stratum, 0, len(strata))
	left := limit
	for s, in := range strata {
		order = append(order, s)
		left -= len(in) * limit / len(rows)
	}
	slices.SortFunc(order, func(a, b stratum) int {
		return cmp.Or(
			cmp.Compare(len(strata[b])*limit%len(rows), len(strata[a])*limit%len(rows)), // largest remainder first
			cmp.Compare(a.outcome, b.outcome),
			compareBool(a.overcalled, b.overcalled),
		)
	})
	var out []Row
	for i, s := range order {
		n := len(strata[s]) * limit / len(rows)
		if i < left {
			n++
		}
		out = append(out, m.pick(strata[s], n)...)
	}
	slices.SortFunc(out, func(a, b Row) int { return cmp.Compare(a.Number, b.Number) })
	return out
}

// pick takes the n rows whose keyed hash is least.
func (m Mapper) pick(rows []Row, n int) []Row {
	type ranked struct {
		row  Row
		rank []byte
	}
	all := make([]ranked, len(rows))
	for i, r := range rows {
		all[i] = ranked{r, m.keyed(r.Number, "sample")}
	}
	slices.SortFunc(all, func(a, b ranked) int { return bytes.Compare(a.rank, b.rank) })
	out := make([]Row, n)
	for i := range out {
		out[i] = all[i].row
	}
	return out
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

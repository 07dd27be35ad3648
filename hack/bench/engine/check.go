package main

import (
	"context"
	"fmt"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// expertAnswers are what the hand-written loop says of all customers.
func expertAnswers(people *customers, c *decision.Campaign) (*expert, []chunkAnswer, error) {
	x := newExpert(c, now, dictionariesOf(&people.chunks[0]))
	var read reader
	out := make([]chunkAnswer, len(people.chunks))
	buckets := make([]int64, expr.Chunk)
	for i := range people.chunks {
		raw := read.raw(&people.chunks[i])
		if read.err != nil {
			return nil, nil, read.err
		}
		out[i] = newChunkAnswer(raw.rows)
		people.Buckets(i, 0, raw.rows, c, buckets)
		x.loop(&raw, buckets, &out[i])
	}
	return x, out, nil
}

// checkSlow compares OPA, its plan and CEL with the hand-written loop for some
// customers. It returns how many of them are allowed.
func checkSlow(ctx context.Context, o *opa, people *customers, c *decision.Campaign, n int) (allowed int, err error) {
	x, answers, err := expertAnswers(people, c)
	if err != nil {
		return 0, err
	}
	some, err := people.samples(n, c)
	if err != nil {
		return 0, err
	}
	program, err := newCEL()
	if err != nil {
		return 0, err
	}
	for i := range some {
		s := &some[i]
		mask, stale := answers[s.chunk].masks[s.row], answers[s.chunk].stale[s.row]
		for name, ask := range map[string]asking{"OPA": o.parsed, "OPA's plan": o.plan} {
			sets, err := ask(ctx, s.parsed)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", name, err)
			}
			said, when, err := o.mask(x, sets)
			if err != nil {
				return 0, err
			}
			if said != mask || when != stale {
				return 0, fmt.Errorf("customer %d of chunk %d: %s says %v until %d, the hand-written loop %v until %d: %s",
					s.row, s.chunk, name, x.names(said), when, x.names(mask), stale, mustJSON(s.plain))
			}
		}
		yes, err := celAllows(program, s.plain)
		if err != nil {
			return 0, fmt.Errorf("%w: %s", err, mustJSON(s.plain))
		}
		if yes != (mask == 0) {
			return 0, fmt.Errorf("customer %d of chunk %d: CEL says %v, the hand-written loop %v: %s", s.row, s.chunk, yes, x.names(mask), mustJSON(s.plain))
		}
		if yes {
			allowed++
		}
	}
	return allowed, nil
}

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// native asks the engine about all customers, for several campaigns at once. What
// it says is counted, as somebody would who only wants the numbers.
func native(ctx context.Context, engine decision.Sweeper, people *customers, cs []decision.Campaign) (decisions int, err error) {
	var n atomic.Int64
	err = engine.Sweep(ctx, decision.Sweep{Now: now, Campaigns: cs, Source: people, Answer: func(_, chunk int, b *decision.Bulk) error {
		n.Add(int64(b.Customers))
		return nil
	}})
	if want := int64(people.rows() * len(cs)); err == nil && n.Load() != want {
		err = fmt.Errorf("the engine answered for %d customers of %d", n.Load(), want)
	}
	return int(n.Load()), err
}

// checkNative compares what the engine says of every customer with the
// hand-written loop: each reason, its verdict, its words, and when it goes stale.
func checkNative(ctx context.Context, engine decision.Sweeper, floor []string, people *customers, cs []decision.Campaign) error {
	xs := make([]*expert, len(cs))
	for i := range cs {
		xs[i] = newExpert(&cs[i], now, dictionariesOf(&people.chunks[0]))
	}
	var mu sync.Mutex
	var read reader
	err := engine.Sweep(ctx, decision.Sweep{Now: now, Campaigns: cs, Source: people, Answer: func(i, chunk int, b *decision.Bulk) error {
		mu.Lock()
		defer mu.Unlock()
		raw := read.raw(&people.chunks[chunk])
		if read.err != nil {
			return read.err
		}
		want := newChunkAnswer(raw.rows)
		buckets := make([]int64, raw.rows)
		people.Buckets(chunk, 0, raw.rows, &cs[i], buckets)
		xs[i].loop(&raw, buckets, &want)
		if err := xs[i].same(b, &want, floor); err != nil {
			return fmt.Errorf("campaign %s, chunk %d: %w", cs[i].Name, chunk, err)
		}
		return nil
	}})
	return err
}

// same says where a Bulk is otherwise than the hand-written loop's answers.
func (x *expert) same(b *decision.Bulk, want *chunkAnswer, floor []string) error {
	if b.Customers != len(want.masks) || b.Left.Count() > 0 {
		return fmt.Errorf("the engine answered for %d customers of %d, and left %d", b.Customers, len(want.masks), b.Left.Count())
	}
	said, floored := make([]uint64, len(want.masks)), make([]uint64, len(want.masks))
	for i := range b.Reasons {
		r := &b.Reasons[i]
		bit, ok := x.find(saidBy(&r.Reason))
		if !ok {
			return fmt.Errorf("the engine says what the hand-written loop never does: %+v", r.Reason)
		}
		into := said
		if r.Policy == "floor" {
			into = floored
		}
		for row := range r.Who.All {
			into[row] |= 1 << bit
		}
	}
	var ofFloor uint64 // it has the same rules with the same parameters
	for bit, s := range x.bits {
		if slices.Contains(floor, s.rule) {
			ofFloor |= 1 << bit
		}
	}
	for row, mask := range want.masks {
		stale := b.StaleAt[row]
		if stale == decision.Never {
			stale = never
		}
		if said[row] != mask || floored[row] != mask&ofFloor || stale != want.stale[row] {
			return fmt.Errorf("row %d: the engine says %v, its floor %v, until %d; the hand-written loop %v until %d",
				row, x.names(said[row]), x.names(floored[row]), stale, x.names(mask), want.stale[row])
		}
	}
	return nil
}

func saidBy(r *decision.Reason) said {
	return said{r.Rule, r.Code, r.Message, r.Verdict == "Hold"}
}

// byHand has the loop decide about everybody, on several cores.
func byHand(x *expert, raws []rawChunk, people *customers, cores int) (decisions int, err error) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range cores {
		wait.Go(func() {
			out := newChunkAnswer(expr.Chunk)
			buckets := make([]int64, expr.Chunk)
			for {
				i := int(next.Add(1)) - 1
				if i >= len(raws) {
					return
				}
				if x.held > 0 {
					people.Buckets(i, 0, raws[i].rows, x.campaign, buckets)
				}
				x.loop(&raws[i], buckets, &out)
			}
		})
	}
	wait.Wait()
	return people.rows(), nil
}

// readOnce adds up every number of the columns, which is the least that anybody
// must read who decides by all of them.
func readOnce(people *customers) (decisions int, err error) {
	var sum int64
	for i := range people.chunks {
		c := people.chunks[i].Columns
		for _, col := range c.IDs {
			sum += addUp(col.U8) + addUp(col.U16) + addUp(col.U32)
		}
		for _, col := range c.Arrays {
			sum += addUp(col.U8) + addUp(col.U16) + addUp(col.U32)
		}
		for _, col := range c.Ints {
			sum += addUp(col.U8) + addUp(col.U16) + addUp(col.U32) + addUp(col.I64)
		}
	}
	if sum == 0 {
		return 0, fmt.Errorf("the columns add up to nothing")
	}
	return people.rows(), nil
}

func addUp[T uint8 | uint16 | uint32 | int64](col []T) (sum int64) {
	for _, v := range col {
		sum += int64(v)
	}
	return sum
}

// raws are all chunks as the expert reads them.
func raws(people *customers) ([]rawChunk, error) {
	var read reader
	out := make([]rawChunk, len(people.chunks))
	for i := range out {
		out[i] = read.raw(&people.chunks[i])
	}
	return out, read.err
}

func note(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

package sender

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// listen reads what became of people, until the sender says no more.
func (r *run) listen() error {
	for {
		var o outcome
		more, err := r.sender.hear(&o)
		if err != nil || !more {
			return err
		}
		if err := r.take(o); err != nil {
			return fmt.Errorf("line %d of the sender: %w", r.sender.count, err)
		}
	}
}

// take refuses what is not an answer for somebody who was handed over: a sender
// that errs there may err about who has been sent to, too.
func (r *run) take(o outcome) error {
	if !isOutcome(o.Outcome) {
		return fmt.Errorf("outcome %q: say one of %s", printable(o.Outcome, 32), strings.Join(outcomes, ", "))
	}
	w, ok := r.finish(o.Permit)
	if !ok {
		return errors.New("the permit is not one that the sender was given and has not answered for")
	}
	o.Detail = discreet(o.Detail, w.secrets)
	r.progress.came(o.Outcome)
	r.told <- o
	return nil
}

// discreet cuts a detail to what the gate takes, and leaves it out altogether
// where it may say whom it is about.
func discreet(detail string, secrets []string) string {
	low := strings.ToLower(detail)
	for _, s := range append(secrets, "@") {
		if strings.Contains(low, strings.ToLower(s)) {
			return "withheld: it named somebody"
		}
	}
	ascii := strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return '?'
		}
		return r
	}, detail)
	return printable(ascii, maxDetail)
}

// drainSender goes on reading after a fault, so that what is still said of
// people who were handed over is not lost and the sender does not hang.
func (r *run) drainSender() {
	for r.sender.lines.Scan() {
		var o outcome
		r.sender.count++
		if json.Unmarshal(r.sender.lines.Bytes(), &o) == nil {
			_ = r.take(o)
		}
	}
}

// report tells the gate what became of people, in batches, until there is
// nothing more to tell.
func (r *run) report(ctx context.Context, halt context.CancelCauseFunc) error {
	var refused int
	var why string
	var failed error
	for first := range r.told {
		batch := append([]outcome{first}, r.more()...)
		if failed != nil {
			refused += len(batch)
			continue
		}
		results, err := r.gate.report(ctx, batch)
		if err != nil {
			failed = err
			refused += len(batch)
			halt(err)
			continue
		}
		recorded := map[string]bool{}
		for _, result := range results {
			recorded[result.Permit] = result.Recorded
			if !result.Recorded {
				why = printable(result.Why, 256)
			}
		}
		for _, o := range batch {
			if !recorded[o.Permit] {
				refused++
			}
		}
	}
	switch {
	case failed != nil:
		return fmt.Errorf("the outcomes of %s were not reported: %w", people(refused), failed)
	case refused > 0:
		return fmt.Errorf("the gate did not record the outcomes of %s: %s", people(refused), why)
	}
	return nil
}

// more takes what else there is to tell by now.
func (r *run) more() []outcome {
	var batch []outcome
	for len(batch) < maxBatch-1 {
		select {
		case o, ok := <-r.told:
			if !ok {
				return batch
			}
			batch = append(batch, o)
		default:
			return batch
		}
	}
	return batch
}

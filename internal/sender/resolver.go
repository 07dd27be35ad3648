package sender

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode"
)

// resolver asks a long-lived command for addresses, one after the other.
type resolver struct {
	process  *process
	patience time.Duration
}

func startResolver(o *Options) (*resolver, error) {
	if len(o.Resolver) == 0 {
		return nil, nil
	}
	p, err := start("resolver", o.Resolver)
	if err != nil {
		return nil, err
	}
	return &resolver{process: p, patience: o.Patience}, nil
}

// address of whom the permit is for; empty: there is none. The resolver repeats
// the principal, so that no answer is ever taken for the next question's: one
// person's address must not go with another's permit.
func (r *resolver) address(ctx context.Context, p permit) (string, error) {
	if r == nil {
		return "", nil
	}
	stuck := time.AfterFunc(r.patience, r.process.kill)
	defer stuck.Stop()
	defer context.AfterFunc(ctx, r.process.kill)()
	if err := r.process.tell(whereabouts{Principal: p.Principal, Channel: p.Channel, Language: p.Language}, time.Now().Add(r.patience)); err != nil {
		return "", err
	}
	var answer whereabouts
	switch more, err := r.process.hear(&answer); {
	case err != nil:
		return "", err
	case !more:
		return "", errors.New("the resolver ended, or took too long, before it answered")
	case answer.Principal != p.Principal:
		return "", fmt.Errorf("line %d of the resolver answers another question: it must repeat the principal", r.process.count)
	case !isAddress(answer.Address):
		return "", fmt.Errorf("line %d of the resolver: the address has more than %d bytes, or control characters", r.process.count, maxAddress)
	}
	return answer.Address, nil
}

// isAddress keeps out what could break out of a header of a message.
func isAddress(s string) bool {
	for _, c := range s {
		if unicode.IsControl(c) {
			return false
		}
	}
	return len(s) <= maxAddress
}

// stop ends the resolver; how it ends does not matter any more.
func (r *resolver) stop() {
	if r == nil {
		return
	}
	r.process.end()
	r.process.kill()
	_ = r.process.wait(0)
}

package policy

import (
	"context"
	"errors"

	"github.com/codb-dev/codb/internal/decision"
)

// Unconfirmed is the native engine by itself, for measuring it: OPA confirms
// nothing of what it says, and whom it can't answer for makes an error.
func Unconfirmed(l *Library, ps []Policy) (decision.Judge, error) {
	s := &Sandbox{lib: l, native: newNativeMetrics(nil)}
	e, ok := newEngine(s, ps, nobody{}).(*engine)
	if !ok {
		return nil, errors.New("the library's rules can't be compiled")
	}
	e.alone = true
	return e, nil
}

// nobody answers no question.
type nobody struct{}

func (nobody) Judge(context.Context, decision.Question) ([]decision.Answer, error) {
	return nil, errors.New("the native engine can't answer for somebody, and nobody else does")
}

func (nobody) Digest() string { return "" }

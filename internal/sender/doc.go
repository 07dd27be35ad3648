// Package sender makes any program that sends safe, and knows nothing of
// consents, policies or clusters: it asks the gate for permits, hands one
// person at a time to the program, and tells the gate what became of each. It
// never says who they are, neither in errors nor in progress. It is linked into
// a small static helper, so it imports the standard library and little else.
package sender

import (
	"errors"
	"fmt"
	"time"
)

// Options say how to run a sender.
type Options struct {
	// Gate is the gate's address, https://host:port.
	Gate string
	// CA is the file with the authority of the gate's certificate, and Token the
	// one with the pod's token; both are read anew whenever they change.
	CA, Token string
	// Command is the sender with its arguments.
	Command []string
	// Resolver is a command that maps a principal to an address. Empty: people
	// are handed over without one.
	Resolver []string
	// AtOnce is how many people the sender works on at the same time.
	AtOnce int
	// Patience is how long the sender may take for a person, and how long the
	// gate may be away.
	Patience time.Duration
	// Grace is what the sender gets to answer for those it works on when
	// everything must stop.
	Grace time.Duration
	// Progress is told how far it is. Nil: nobody.
	Progress *Progress
}

const (
	// maxAtOnce bounds the people that a sender has in hand.
	maxAtOnce = 1000
	// maxLine bounds lines between the sender, the resolver and us. A pipe takes
	// as much in one piece, so that nobody is handed over by half.
	maxLine = 4096
	// maxDetail is how much of an outcome's detail the gate takes, in characters.
	maxDetail = 128
	// maxAddress bounds what a resolver may answer.
	maxAddress = 1024
)

// ErrUsage says that the options are wrong: trying again does not help.
var ErrUsage = errors.New("usage")

// Check says what is wrong with the options.
func (o *Options) Check() error {
	for _, need := range []struct{ value, what string }{
		{o.Gate, "the gate's address: set CODB_GATE, for example https://codb-gate.codb-system.svc"},
		{o.CA, "the file with the gate's authority: set CODB_GATE_CA"},
		{o.Token, "the file with the pod's token: set CODB_GATE_TOKEN"},
	} {
		if need.value == "" {
			return fmt.Errorf("%w: there is no %s; codb sets it in the pods of campaigns that draw permits", ErrUsage, need.what)
		}
	}
	switch {
	case len(o.Command) == 0:
		return fmt.Errorf("%w: no sender: write codb-run -- my-sender arguments", ErrUsage)
	case o.AtOnce < 1 || o.AtOnce > maxAtOnce:
		return fmt.Errorf("%w: --at-once %d: write 1 to %d", ErrUsage, o.AtOnce, maxAtOnce)
	case o.Patience <= 0 || o.Grace <= 0:
		return fmt.Errorf("%w: --patience and --grace must be longer than nothing, for example 5m and 7s", ErrUsage)
	}
	return nil
}

package sender

import (
	"errors"
	"testing"
)

// One trouble is said once, whatever can't be asked for it.
func TestTroublesAreSaidOnce(t *testing.T) {
	var p Progress
	for _, verb := range []string{"redeem", "draw"} {
		p.troubled(verb, errors.New("the gate is busy"))
	}
	p.troubled("report", errors.New("the gate is away"))
	want := "0 drawn, 0 sent, can't report, and tries again: the gate is away, can't draw or redeem, and tries again: the gate is busy"
	if got := p.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	p.troubled("draw", nil)
	p.troubled("redeem", nil)
	if got, want := p.String(), "0 drawn, 0 sent, can't report, and tries again: the gate is away"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

package gate

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"github.com/codb-dev/codb/internal/contacts"
)

// slowToFail is how long a database's absence takes to be sure of.
const slowToFail = 4 * time.Second

// absent is a ledger and a World of which either may not answer.
type absent struct {
	*town
	Reserving
	ledger, consents atomic.Bool
}

func (a *absent) After(ctx context.Context, sequence uint64, limit int) (contacts.Page, error) {
	if err := a.answers(ctx, &a.ledger, contacts.ErrUnavailable); err != nil {
		return contacts.Page{}, err
	}
	return a.Reserving.After(ctx, sequence, limit)
}

func (a *absent) Current(ctx context.Context, of Holder) (*Case, error) {
	if err := a.answers(ctx, &a.consents, fmt.Errorf("%w: %w", ErrConsents, context.DeadlineExceeded)); err != nil {
		return nil, err
	}
	return a.town.Current(ctx, of)
}

func (a *absent) answers(ctx context.Context, not *atomic.Bool, why error) error {
	if !not.Load() {
		return nil
	}
	select {
	case <-time.After(slowToFail):
		return why
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Whoever waits for others that wait for a store is told what all wait for.
func TestAnOutageIsCalledByItsName(t *testing.T) {
	for name, tc := range map[string]struct {
		lose func(*absent) *atomic.Bool
		why  error
	}{
		"TheLedgers":  {func(a *absent) *atomic.Bool { return &a.ledger }, contacts.ErrUnavailable},
		"TheConsents": {func(a *absent) *atomic.Bool { return &a.consents }, ErrConsents},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t, "c-1")
				a := &absent{town: o.town, Reserving: o.file}
				s := NewServer(ServerOptions{Ledger: o.file, Log: logr.Discard()})
				s.Give(pods{"pod-1": pod(1, "spring")}, NewDesk(DeskOptions{Ledger: a, World: a, Clock: o.town.clock, Log: logr.Discard()}))
				lost := tc.lose(a)
				lost.Store(true)
				var wg sync.WaitGroup
				for range 3 * maxRedeems { // more than there are places, and of one run more than have a turn
					for verb, body := range map[string]string{"draw": `{"max":1}`, "redeem": `{"permits":["p"]}`} {
						wg.Go(func() {
							status, header, p := o.post(s, verb, body)
							if status != http.StatusServiceUnavailable || p.Type != ProblemUnavailable || p.Detail != tc.why.Error() || p.Remedy == "" || header.Get("Retry-After") == "" {
								t.Errorf("%s: %d %+v", verb, status, p)
							}
						})
					}
				}
				wg.Wait()
				lost.Store(false)
				o.post(s, "draw", `{"max":1}`)
				for range cap(s.redeems) {
					s.redeems <- struct{}{}
				}
				if _, _, p := o.post(s, "redeem", `{"permits":["p"]}`); p.Type != ProblemBusy {
					t.Errorf("afterwards, when there is no place: %+v", p)
				}
			})
		})
	}
}

// One finds out that the ledger does not answer, for all who wait meanwhile.
func TestWhoWaitsForAnOutageWaitsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, "c-1")
		a := &absent{town: o.town, Reserving: o.file}
		a.ledger.Store(true)
		d := NewDesk(DeskOptions{Ledger: a, World: a, Clock: o.town.clock, Log: logr.Discard()})
		began := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := d.Redeem(context.WithoutCancel(t.Context()), pod(1, "spring"), []string{"p"}); err == nil {
					t.Error("redeemed")
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took > slowToFail {
			t.Errorf("all know after %s, want %s", took, slowToFail)
		}
	})
}

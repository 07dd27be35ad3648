package consentstore

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// passes are told one by one how they end, and which revision they saw.
type passes struct {
	begun int
	ends  chan error
}

func (p *passes) pass(context.Context) (string, error) {
	p.begun++
	n := p.begun
	return string(rune('0' + n)), <-p.ends
}

// Who asks while a pass is under way needs the two that follow; the first of them
// is the second of those who asked before.
func TestTheSecondPassOfSomeIsTheFirstOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &passes{ends: make(chan error)}
		f := fence{pass: p.pass, twice: true}
		got := map[string]string{}
		ask := func(who string) {
			go func() {
				revision, err := f.wait(context.WithoutCancel(t.Context()))
				if err != nil {
					revision = err.Error()
				}
				got[who] = revision
			}()
			synctest.Wait()
		}
		end := func(err error) {
			p.ends <- err
			synctest.Wait()
		}
		want := func(who, revision string) {
			t.Helper()
			if got[who] != revision {
				t.Errorf("%s after %d passes: %q, want %q", who, p.begun, got[who], revision)
			}
		}
		ask("first")
		ask("second")
		end(nil)
		want("first", "")
		ask("third")
		end(nil)
		want("first", "2")
		want("second", "")
		end(nil)
		want("second", "3")
		want("third", "")
		end(nil)
		want("third", "4")
		if p.begun != 4 || f.busy {
			t.Errorf("%d passes, want 4 and no more", p.begun)
		}
		ask("fourth") // which nobody helps
		end(nil)
		ask("fifth")
		end(errors.New("down"))
		want("fourth", "down")
		want("fifth", "") // it began after that one
		end(nil)
		end(nil)
		want("fifth", "8")
	})
}

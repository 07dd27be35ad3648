package feed_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/internal/feed"
)

func TestEachReaderLearnsWhatItMissed(t *testing.T) {
	l := feed.Log{Keep: 2}
	early := l.Mark()
	l.Add("a")
	middle := l.Mark()
	l.Add("b")
	if got, now, all := l.Since(early); all || now != l.Mark() || !cmp.Equal(got, []string{"a", "b"}) {
		t.Errorf("the early reader got %v, %d, all %t", got, now, all)
	}
	if got, _, all := l.Since(middle); all || !cmp.Equal(got, []string{"b"}) {
		t.Errorf("the other got %v, all %t", got, all)
	}
	for _, name := range []string{"c", "d", "e"} {
		l.Add(name)
	}
	if _, _, all := l.Since(early); !all {
		t.Error("who comes too late must look at everybody")
	}
	if got, _, all := l.Since(l.Mark() - 2); all || !cmp.Equal(got, []string{"d", "e"}) {
		t.Errorf("the last two are %v, all %t", got, all)
	}
}

func TestForgetConcernsEveryReader(t *testing.T) {
	l := feed.Log{Keep: 10}
	before := l.Add("a")
	l.Forget()
	for _, mark := range []uint64{0, before} {
		if _, _, all := l.Since(mark); !all {
			t.Errorf("a reader at %d did not learn that everybody may have changed", mark)
		}
	}
	now := l.Mark()
	l.Add("b")
	if got, _, all := l.Since(now); all || !cmp.Equal(got, []string{"b"}) {
		t.Errorf("after it: %v, all %t", got, all)
	}
}

func TestAMarkFromElsewhereIsNoMark(t *testing.T) {
	l := feed.Log{Keep: 10}
	if _, _, all := l.Since(5); !all {
		t.Error("a mark that was never given out was taken")
	}
}

package sender

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Progress counts people, and says how many in words. The zero value is ready.
type Progress struct {
	mu         sync.Mutex
	drawn      int
	inHand     int
	outcomes   map[string]int
	codes      map[string]int
	denied     int
	lapsedOnes int
	held       int
	next       time.Time
	done       bool
	trouble    map[string]string // by what is asked of the gate
}

func (p *Progress) drew(a drawAnswer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drawn += len(a.Permits)
	p.held, p.next, p.done = a.Held, a.Next, a.Exhausted
}

// handed counts who is handed over, and who is answered for again.
func (p *Progress) handed(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inHand += n
}

// came counts an outcome; those of people who were never handed over too.
func (p *Progress) came(outcome string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.outcomes == nil {
		p.outcomes = map[string]int{}
	}
	p.outcomes[outcome]++
}

func (p *Progress) refused(reasons []reason) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.denied++
	if p.codes == nil {
		p.codes = map[string]int{}
	}
	for _, r := range reasons {
		if code := printable(r.Code, 64); p.codes[code] > 0 || len(p.codes) < 64 {
			p.codes[code]++
		}
	}
}

// lapsed counts permits that expired, or were taken back, before their turn.
func (p *Progress) lapsed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lapsedOnes++
}

// troubled notes that the gate does not do what is asked of it, and why.
func (p *Progress) troubled(verb string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		delete(p.trouble, verb)
		return
	}
	if p.trouble == nil {
		p.trouble = map[string]string{}
	}
	p.trouble[verb] = printable(err.Error(), 256)
}

// String says it in one line, in which nobody is named.
func (p *Progress) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	parts := []string{fmt.Sprintf("%d drawn", p.drawn)}
	for _, word := range outcomes {
		if n := p.outcomes[word]; n > 0 || word == outcomeSent {
			parts = append(parts, fmt.Sprintf("%d %s", n, strings.ToLower(word)))
		}
	}
	if p.inHand > 0 {
		parts = append(parts, fmt.Sprintf("%d in hand", p.inHand))
	}
	if p.denied > 0 {
		parts = append(parts, fmt.Sprintf("%d refused at the last moment (%s)", p.denied, frequent(p.codes)))
	}
	if p.lapsedOnes > 0 {
		parts = append(parts, fmt.Sprintf("%d permits lapsed", p.lapsedOnes))
	}
	switch {
	case p.done:
		parts = append(parts, "nobody is left")
	case p.held > 0 && p.next.IsZero():
		parts = append(parts, fmt.Sprintf("%d wait", p.held))
	case p.held > 0:
		parts = append(parts, fmt.Sprintf("%d wait, the first until %s", p.held, p.next.UTC().Format("2006-01-02 15:04:05Z")))
	}
	return strings.Join(append(parts, p.troubles()...), ", ")
}

// troubles says each thing that is wrong once, whatever can't be asked for it.
func (p *Progress) troubles() (parts []string) {
	verbs := map[string][]string{}
	for _, verb := range slices.Sorted(maps.Keys(p.trouble)) {
		verbs[p.trouble[verb]] = append(verbs[p.trouble[verb]], verb)
	}
	for _, what := range slices.Sorted(maps.Keys(verbs)) {
		parts = append(parts, fmt.Sprintf("can't %s, and tries again: %s", strings.Join(verbs[what], " or "), what))
	}
	return parts
}

// frequent names the three most frequent codes.
func frequent(codes map[string]int) string {
	names := slices.SortedFunc(maps.Keys(codes), func(a, b string) int {
		if d := codes[b] - codes[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, codes[name])
	}
	return strings.Join(names[:min(3, len(names))], ", ")
}

// Show writes the line until ctx is done, and once more then: over itself every
// half second on a terminal, else every ten seconds.
func (p *Progress) Show(ctx context.Context, w io.Writer, terminal bool) {
	pause, format := 10*time.Second, "codb-run: %s\n"
	if terminal {
		pause, format = 500*time.Millisecond, "\r\x1b[Kcodb-run: %s"
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprintf(w, format, p)
		case <-ctx.Done():
			fmt.Fprintf(w, format, p)
			if terminal {
				fmt.Fprintln(w)
			}
			return
		}
	}
}

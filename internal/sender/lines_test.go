package sender

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
)

// FuzzLines has a sender say any bytes of two people who were handed over. Of each
// the gate is told once at most, only what an outcome may be, and nothing that says
// who it was; what a resolver says so is nobody's address unless it is one.
func FuzzLines(f *testing.F) {
	const who, where = "c-7f3a", "Somebody@acme.example"
	for _, lines := range []string{
		`{"permit":"p-1","outcome":"Sent"}` + "\n" + `{"permit":"p-2","outcome":"Failed","detail":"550 no such mailbox"}` + "\n",
		`{"permit":"p-1","outcome":"Sent"}` + "\n" + `{"permit":"p-1","outcome":"Sent"}`, `{"permit":"p-3","outcome":"Sent"}`,
		`{"permit":"p-1","outcome":"sent"}`, `{"permit":"p-1","outcome":"Bounced","detail":"somebody@ACME.example, c-7F3A"}`,
		`{"permit":"p-1","outcome":"Replied","detail":"` + strings.Repeat("ß", 1000) + `\u0000\u202e"}`, "null\n\n", "hello\n", "\xff\n", strings.Repeat(" ", maxLine) + "\n",
		`{"principal":"c-7f3a","address":"a@b.example\r\nBcc: c@d.example"}`, `{"PERMIT":"p-1","Outcome":"Sent","outcome":"Complained"}`,
	} {
		f.Add([]byte(lines))
	}
	f.Fuzz(func(t *testing.T, lines []byte) {
		r := &run{
			sender: &process{name: "sender", lines: bufio.NewScanner(bytes.NewReader(lines))}, progress: &Progress{},
			slots: make(chan struct{}, 2), told: make(chan outcome, 4), work: map[string]inWork{},
		}
		r.sender.lines.Buffer(make([]byte, 0, maxLine), maxLine)
		for n := range 2 {
			r.slots <- struct{}{}
			r.work[fmt.Sprint("p-", n+1)] = inWork{secrets: []string{who, where}, stuck: time.AfterFunc(time.Hour, func() {})}
		}
		if err := r.listen(); err != nil {
			says := strings.ToLower(err.Error())
			if strings.Contains(says, who) || strings.Contains(says, strings.ToLower(where)) {
				t.Errorf("an error names somebody: %s", says)
			}
			r.drainSender()
		}
		close(r.told)
		told := map[string]bool{}
		for o := range r.told {
			low := strings.ToLower(o.Detail)
			switch {
			case told[o.Permit] || o.Permit != "p-1" && o.Permit != "p-2" || !slices.Contains(outcomes, o.Outcome):
				t.Errorf("the gate is told %+v", o)
			case len(o.Detail) > maxDetail || strings.Contains(low, who) || strings.Contains(low, "@") || strings.ContainsFunc(low, unicode.IsControl):
				t.Errorf("the gate is told %q", o.Detail)
			}
			told[o.Permit] = true
		}
		p := &process{name: "resolver", lines: bufio.NewScanner(bytes.NewReader(lines))}
		var w whereabouts
		if more, err := p.hear(&w); err == nil && more && isAddress(w.Address) && strings.ContainsAny(w.Address, "\r\n\x00") {
			t.Errorf("an address is %q", w.Address)
		}
	})
}

// Package docs reads the terminal sessions in the documentation and says
// whether a run of them shows what the pages show. It does not know what the
// commands do.
package docs

import (
	"fmt"
	"strings"
)

// Block is one fenced block that shows a terminal.
type Block struct {
	Line int
	// Background says that the command goes on while the rest of the docs run.
	Background bool
	Steps      []Step
}

// Step is one command and what it printed.
type Step struct {
	Line    int
	Command string
	// Output is what the page shows; Shown is false where it shows nothing and
	// anything may come out.
	Output string
	Shown  bool
}

// Page is what a page of the docs says about its terminal.
type Page struct {
	// User and Groups are who the page's reader is; empty: the administrator.
	User   string
	Groups []string
	Blocks []Block
}

const (
	fence      = "```"
	asMark     = "<!-- terminal of "
	background = "<!-- goes on -->"
)

// Parse reads a page of Markdown. Blocks of the languages console and sh are
// sessions: in a console block commands begin with "$ " and what follows is
// their output; an sh block is one script.
func Parse(text string) (Page, error) {
	var p Page
	goesOn := false
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if who, ok := strings.CutPrefix(line, asMark); ok {
			p.User, p.Groups = reader(who)
			continue
		}
		if line == background {
			goesOn = true
			continue
		}
		language, ok := strings.CutPrefix(line, fence)
		if !ok {
			continue
		}
		end := i + 1
		for end < len(lines) && lines[end] != fence {
			end++
		}
		if end == len(lines) {
			return p, fmt.Errorf("line %d: the block is not closed", i+1)
		}
		body := lines[i+1 : end]
		b := Block{Line: i + 1, Background: goesOn}
		switch language {
		case "sh":
			b.Steps = []Step{{Line: i + 2, Command: strings.Join(body, "\n")}}
		case "console":
			var err error
			if b.Steps, err = steps(body, i+2); err != nil {
				return p, err
			}
		}
		if len(b.Steps) > 0 {
			p.Blocks = append(p.Blocks, b)
			goesOn = false
		}
		i = end
	}
	return p, nil
}

// reader reads "marketer (acme-marketers) -->".
func reader(s string) (user string, groups []string) {
	s, _, _ = strings.Cut(s, "-->")
	user, rest, grouped := strings.Cut(strings.TrimSpace(s), " (")
	if grouped {
		for g := range strings.SplitSeq(strings.TrimSuffix(rest, ")"), ",") {
			groups = append(groups, strings.TrimSpace(g))
		}
	}
	return user, groups
}

func steps(body []string, first int) ([]Step, error) {
	var out []Step
	for i := 0; i < len(body); i++ {
		command, ok := strings.CutPrefix(body[i], "$ ")
		if !ok && len(out) == 0 {
			return nil, fmt.Errorf("line %d: %q comes before any command: begin it with $", first+i, body[i])
		}
		if !ok {
			s := &out[len(out)-1]
			s.Output, s.Shown = s.Output+body[i]+"\n", true
			continue
		}
		s := Step{Line: first + i, Command: command}
		for strings.HasSuffix(body[i], `\`) && i+1 < len(body) {
			i++
			s.Command += "\n" + body[i]
		}
		if _, word, here := strings.Cut(body[i], "<<"); here {
			word, _, _ = strings.Cut(strings.TrimPrefix(word, "'"), "'")
			for i+1 < len(body) {
				i++
				s.Command += "\n" + body[i]
				if body[i] == word {
					break
				}
			}
		}
		out = append(out, s)
	}
	return out, nil
}

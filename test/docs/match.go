package docs

import (
	"regexp"
	"strings"
)

// moving is what differs from run to run: ages, hashes, instants.
var moving = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "<instant>"},
	{regexp.MustCompile(`sha256:[0-9a-f]+`), "<digest>"},
	{regexp.MustCompile(`\b[0-9a-f]{8,}\b`), "<hash>"}, // 1132777d is no age
	{regexp.MustCompile(`\b(\d+[dhms]){1,2}\b`), "<age>"},
	{regexp.MustCompile(`\s+`), " "},
}

func settled(line string) string {
	for _, m := range moving {
		line = m.what.ReplaceAllString(line, m.as)
	}
	return strings.TrimSpace(line)
}

// Match says whether an output is the one that a page shows. "..." in a line
// stands for any text, a line of "..." alone for any lines; widths of columns,
// ages, hashes and instants may differ.
func Match(shown, got string) bool {
	return lines(split(shown), split(got))
}

func split(s string) []string {
	var out []string
	for line := range strings.SplitSeq(strings.TrimSpace(s), "\n") {
		out = append(out, settled(line))
	}
	return out
}

func lines(shown, got []string) bool {
	for len(shown) > 0 {
		if shown[0] == "..." {
			for skip := range len(got) + 1 {
				if lines(shown[1:], got[skip:]) {
					return true
				}
			}
			return false
		}
		if len(got) == 0 || !line(shown[0], got[0]) {
			return false
		}
		shown, got = shown[1:], got[1:]
	}
	return len(got) == 0
}

func line(shown, got string) bool {
	parts := strings.Split(shown, "...")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(got)
}

package docs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAPageSaysWhatItsReaderTypes(t *testing.T) {
	tests := map[string]struct {
		page string
		want Page
	}{
		"prose and other languages are none": {page: "Words.\n```yaml\na: b\n```\n```\n$ not run\n```\n"},
		"a script": {
			page: "```sh\na\nb\n```\n",
			want: Page{Blocks: []Block{{Line: 1, Steps: []Step{{Line: 2, Command: "a\nb"}}}}},
		},
		"commands with and without output": {
			page: "```console\n$ a\n$ b\nsays b\ntwice\n```\n",
			want: Page{Blocks: []Block{{Line: 1, Steps: []Step{
				{Line: 2, Command: "a"}, {Line: 3, Command: "b", Output: "says b\ntwice\n", Shown: true},
			}}}},
		},
		"a command of several lines": {
			page: "```console\n$ a \\\n  b\nout\n$ c <<'END'\n$ x\nEND\ndone\n```\n",
			want: Page{Blocks: []Block{{Line: 1, Steps: []Step{
				{Line: 2, Command: "a \\\n  b", Output: "out\n", Shown: true},
				{Line: 5, Command: "c <<'END'\n$ x\nEND", Output: "done\n", Shown: true},
			}}}},
		},
		"who reads, and what goes on": {
			page: "<!-- terminal of marketer (acme-marketers, all) -->\n<!-- goes on -->\n```sh\na\n```\n```sh\nb\n```\n",
			want: Page{User: "marketer", Groups: []string{"acme-marketers", "all"}, Blocks: []Block{
				{Line: 3, Background: true, Steps: []Step{{Line: 4, Command: "a"}}},
				{Line: 6, Steps: []Step{{Line: 7, Command: "b"}}},
			}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(tc.page)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, page := range map[string]string{"open": "```sh\na\n", "output first": "```console\nout\n```\n"} {
		if _, err := Parse(page); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAnOutputIsTheOneThatAPageShows(t *testing.T) {
	tests := map[string]struct {
		shown, got string
		want       bool
	}{
		"the same":               {"a b\nc", "a b\nc\n", true},
		"another word":           {"a b", "a c", false},
		"another number":         {"a 12", "a 13", false},
		"wider columns":          {"NAME  AGE", "NAME      AGE", true},
		"an older age":           {"x 5s y", "x 2m10s y", true},
		"another hash":           {"news-12ab34cd", "news-00000000", true},
		"a hash like an age":     {"news-12ab34cd", "news-1132777d", true},
		"another instant":        {"at 2026-01-01T00:00:00Z", "at 2027-02-03T04:05:06Z", true},
		"any text in a line":     {"Error: ... refused", "Error: whatever, refused", true},
		"no text in a line":      {"Error: ... refused", "Error: whatever", false},
		"any lines":              {"a\n...\nd", "a\nb\nc\nd", true},
		"any lines, then other":  {"a\n...\nd", "a\nb\nc\ne", false},
		"a line too many":        {"a", "a\nb", false},
		"a line too few":         {"a\nb", "a", false},
		"what looks like regexp": {"a.c (x)", "abc (x)", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Match(tc.shown, tc.got); got != tc.want {
				t.Errorf("Match(%q, %q) = %t", tc.shown, tc.got, got)
			}
		})
	}
}

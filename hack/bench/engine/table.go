package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// The part of the document that is written anew.
const (
	begins = "<!-- engine: make bench -->"
	ends   = "<!-- /engine -->"
)

// document is what was measured, in Markdown.
type report struct{ strings.Builder }

func (r *report) line(format string, args ...any) { fmt.Fprintf(r, format+"\n", args...) }

func (r *report) row(cells ...string) { r.line("| %s |", strings.Join(cells, " | ")) }

// head begins a table: the first column is words, the others are numbers.
func (r *report) head(cells ...string) {
	r.line("")
	r.row(cells...)
	r.line("|---|%s", strings.Repeat("--:|", len(cells)-1))
}

// number is n with three digits that mean something.
func number(n float64) string {
	switch {
	case n >= 1000:
		return thousands(int64(round(n)))
	case n >= 100:
		return fmt.Sprintf("%.0f", n)
	case n >= 10:
		return fmt.Sprintf("%.1f", n)
	}
	return fmt.Sprintf("%.2f", n)
}

func round(n float64) float64 {
	unit := 1.0
	for n/unit >= 1000 {
		unit *= 10
	}
	return float64(int64(n/unit+0.5)) * unit
}

func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// machine is where it was measured.
func machine() string {
	model, load := "an unknown processor", ""
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		model = field(string(text), "model name")
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = ", load " + strings.Fields(string(text))[0]
	}
	return fmt.Sprintf("%d cores of %s, %d GiB%s; %s, %s/%s", runtime.NumCPU(), model, (memory()+1<<29)>>30, load, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// memory of the machine in bytes; where that is not known, without end.
func memory() int64 {
	var kib int64
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		_, _ = fmt.Sscan(field(string(text), "MemTotal"), &kib)
	}
	if kib == 0 {
		return math.MaxInt64 / 8
	}
	return kib << 10
}

func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// revision of what is measured.
func revision() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		return "an unknown revision"
	}
	return strings.TrimSpace(string(out))
}

func versionOf(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		if m.Path == module {
			return m.Version
		}
	}
	return "of an unknown version"
}

func today() string { return time.Now().UTC().Format(time.DateOnly) }

// publish puts a report between the marks of a document.
func publish(path, text string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	before, rest, ok := strings.Cut(string(old), begins)
	_, after, ok2 := strings.Cut(rest, ends)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no %s followed by %s: put them where the tables belong", path, begins, ends)
	}
	return os.WriteFile(path, []byte(before+begins+"\n"+strings.Trim(text, "\n")+"\n"+ends+after), 0o644)
}

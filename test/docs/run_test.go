package docs

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codb-dev/codb/test/apiserver"
)

const root = "../.."

// elsewhere are commands that others run: CI does, from a clean checkout.
var elsewhere = regexp.MustCompile(`^(make|git clone|go run|go test|hack/\S+)( |$)`)

// leftToCI says that all of a step is run elsewhere.
func leftToCI(s *Step) bool {
	for line := range strings.SplitSeq(s.Command, "\n") {
		if line != "" && !strings.HasPrefix(line, "#") && !elsewhere.MatchString(line) {
			return false
		}
	}
	return true
}

// terminal runs what pages show, one after the other, as a person would who
// reads them in their order: against a real apiserver, with the codb of this
// source.
type terminal struct {
	env      *apiserver.Env
	dir      string // of kubeconfigs, logs and codb's own files
	replaced *strings.Replacer
	addition string // to codb standalone: where this run may listen
	metrics  string
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	env, err := apiserver.Start(apiserver.Options{Controllers: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	if _, err := apiserver.BuildCodb(dir); err != nil {
		t.Fatal(err)
	}
	metrics, probes, gate := freeAddress(t), freeAddress(t), freeAddress(t)
	return &terminal{
		env: env, dir: dir, metrics: metrics,
		replaced: strings.NewReplacer("127.0.0.1:8080", metrics, "127.0.0.1:8081", probes, "127.0.0.1:8082", gate),
		addition: fmt.Sprintf(" --webhook-port 0 --metrics-address %s --probe-address %s --data %s", metrics, probes, filepath.Join(dir, "ledger")),
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// command is one that runs in the repository as the page's reader.
func (w *terminal) command(ctx context.Context, p *Page, script string) (*exec.Cmd, error) {
	user, groups := p.User, p.Groups
	if user == "" {
		user, groups = "admin", []string{"system:masters"}
	}
	kubeconfig := filepath.Join(w.dir, "kubeconfig-"+strings.ReplaceAll(user, ":", "-"))
	if _, err := os.Stat(kubeconfig); err != nil {
		raw, err := w.env.Kubeconfig(user, groups...)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(kubeconfig, raw, 0o600); err != nil {
			return nil, err
		}
	}
	c := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", w.replaced.Replace(script))
	c.Dir = root
	c.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "PATH="+w.dir+":"+w.env.Assets()+":"+os.Getenv("PATH"), "KUBECACHEDIR="+w.dir, "TZ=UTC")
	return c, nil
}

// start runs a command that goes on until the test ends.
func (w *terminal) start(t *testing.T, p *Page, s *Step) {
	t.Helper()
	c, err := w.command(context.Background(), p, "exec "+s.Command+w.addition)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(w.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		if err := c.Wait(); err != nil {
			t.Errorf("%s ended: %v", s.Command, err)
		}
		_ = log.Close()
		if t.Failed() {
			raw, _ := os.ReadFile(log.Name())
			t.Logf("log of %s:\n%s", s.Command, raw)
		}
	})
}

// errors is how an output says that the command failed.
var errors = regexp.MustCompile(`(?m)^(Error from server|error:|codb:|The \w+ "[^"]+" is invalid|no$)`)

// reads says that a command can be typed again: it looks, or waits.
var reads = regexp.MustCompile(`^(kubectl codb consent (get|list)|kubectl( -n \S+)?( -A)? (get|describe|wait|auth|events|logs|top) |curl |codb install --policy)`)

// patience is how long the world may take to be as a page shows it.
const patience = 60 * time.Second

// record fills in what a page leaves open.
var record = flag.Bool("record", false, "write what a command prints into the page where its output is a line of ?")

const open = "?\n"

// fill types the command and writes what it prints into the page.
func (w *terminal) fill(t *testing.T, name string, p *Page, s *Step) {
	t.Helper()
	time.Sleep(3 * time.Second) // nobody knows what to wait for
	out, err := w.once(t.Context(), p, s)
	t.Logf("%v\n%s", err, out)
	path := filepath.Join(root, name)
	page, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, bytes.Replace(page, []byte(s.Command+"\n"+open), []byte(s.Command+"\n"+out), 1), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run types one command, and where it only looks types it again until what it
// shows is what the page shows.
func (w *terminal) run(t *testing.T, p *Page, s *Step) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		out, err := w.once(t.Context(), p, s)
		refused := errors.MatchString(s.Output)
		problem := ""
		switch {
		case err != nil && !refused:
			problem = fmt.Sprint("failed: ", err)
		case err == nil && refused:
			problem = "was not refused"
		case s.Shown && !Match(s.Output, out):
			problem = "shows something else"
		default:
			return
		}
		if !reads.MatchString(s.Command) || time.Now().After(deadline) {
			t.Fatalf("line %d: %s\n%s.\n--- the page shows\n%s--- it printed\n%s", s.Line, s.Command, problem, s.Output, out)
		}
	}
}

func (w *terminal) once(ctx context.Context, p *Page, s *Step) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	c, err := w.command(ctx, p, s.Command)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err = c.Run()
	return out.String(), err
}

// TestEveryCommandInTheDocsRuns reads the pages in the order of docs/README.md.
// Each goes on in the world that those before it made.
func TestEveryCommandInTheDocsRuns(t *testing.T) {
	w := newTerminal(t)
	for _, name := range pages(t) {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		page, err := Parse(string(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range page.Blocks {
			b := &page.Blocks[i]
			for j := range b.Steps {
				s := &b.Steps[j]
				if leftToCI(s) {
					continue
				}
				t.Logf("%s:%d: %s", name, s.Line, s.Command)
				switch {
				case b.Background:
					w.start(t, &page, s)
				case *record && s.Output == open:
					w.fill(t, name, &page, s)
				default:
					w.run(t, &page, s)
				}
			}
		}
	}
	w.compareMetrics(t)
}

var link = regexp.MustCompile(`\]\(([a-z-]+\.md)\)`)

// pages are README.md and every page of docs, in the order in which
// docs/README.md names them; those that it does not name come last.
func pages(t *testing.T) []string {
	t.Helper()
	index, err := os.ReadFile(filepath.Join(root, "docs", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	out, named := []string{"README.md", "docs/README.md"}, map[string]bool{"README.md": true}
	for _, m := range link.FindAllStringSubmatch(string(index), -1) {
		if !named[m[1]] {
			named[m[1]] = true
			out = append(out, "docs/"+m[1])
		}
	}
	all, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if base := filepath.Base(path); !named[base] {
			out = append(out, "docs/"+base)
		}
	}
	return out
}

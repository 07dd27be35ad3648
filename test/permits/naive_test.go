package permits

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/policies"
	"github.com/codb-dev/codb/test/postgres"
)

// naive asks OPA's own server about each person, one at a time and as many at
// once as there are pods, after a count of the person's contacts in SQL. It
// evaluates the rules of the baseline, and records nothing.
type naive struct {
	at   string
	town *town
	db   *pgxpool.Pool
}

func newNaive(b *testing.B, people int) *naive {
	w := newTown(b, people)
	return &naive{at: opaServer(b), town: w, db: table(b, w.ids)}
}

func (n *naive) ask(b *testing.B) time.Duration {
	transport := &http.Transport{MaxIdleConnsPerHost: writers}
	defer transport.CloseIdleConnections()
	var all sync.WaitGroup
	began := time.Now()
	for p := range writers {
		all.Go(func() {
			for i := p; i < len(n.town.ids); i += writers {
				if err := decide(b.Context(), &http.Client{Transport: transport}, n.at, n.db, n.town, i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(began)
}

func decide(ctx context.Context, c *http.Client, at string, db *pgxpool.Pool, w *town, i int) error {
	var n int
	now, id := time.Now(), w.ids[i]
	if err := db.QueryRow(ctx, `SELECT count(*) FROM sent WHERE principal = $1 AND at >= $2`, id, now.Add(-7*24*time.Hour)).Scan(&n); err != nil {
		return err
	}
	sent := make([]decision.Contact, n)
	for i := range sent {
		sent[i] = decision.Contact{At: now.UnixNano(), Brand: "acme", Class: "Marketing", Channel: "Email"}
	}
	r, _ := w.rows.Get(id)
	person := r.Person("acme")
	body, err := json.Marshal(map[string]any{"input": map[string]any{
		"now": now.Unix() * int64(time.Second), "campaign": facts(i), "customer": person, "contacts": decision.Contacts{Sent: sent},
	}})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at+"/v1/data/naive", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	var answer struct {
		Result struct {
			Deny, Hold []any
			Asked      int
		}
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	if r := answer.Result; r.Asked == 0 || len(r.Deny) > 0 || len(r.Hold) > 0 {
		return fmt.Errorf("not allowed: %+v", r)
	}
	return nil
}

// table has an old contact of everybody.
func table(b *testing.B, ids []string) *pgxpool.Pool {
	b.Helper()
	at := postgres.Place(b)
	db, err := pgxpool.New(b.Context(), at)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(db.Close)
	for _, statement := range []string{
		`CREATE TABLE sent (principal text NOT NULL, at timestamptz NOT NULL)`,
		`CREATE INDEX ON sent (principal, at)`,
	} {
		if _, err := db.Exec(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := db.Exec(b.Context(), `INSERT INTO sent SELECT unnest($1::text[]), $2`, ids, time.Now().AddDate(0, -1, 0)); err != nil {
		b.Fatal(err)
	}
	return db
}

// opaServer builds OPA from its module, runs its server as a process of its own
// with the library and the baseline, and says where it is.
func opaServer(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	const opa = "github.com/open-policy-agent/opa"
	version, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", opa).Output()
	if err != nil {
		b.Fatal(err)
	}
	build := exec.Command("go", "install", opa+"@"+strings.TrimSpace(string(version))) // with its own dependencies, not ours
	build.Env = append(os.Environ(), "GOBIN="+dir)
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build OPA: %v: %s", err, out)
	}
	if err := rules(filepath.Join(dir, "rules")); err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	var said bytes.Buffer
	server := exec.Command(filepath.Join(dir, "opa"), "run", "--server", "--addr", address, "--log-level", "error", "--disable-telemetry", filepath.Join(dir, "rules"))
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	for began := time.Now(); ; {
		res, err := http.Get("http://" + address + "/health")
		if err == nil {
			_ = res.Body.Close()
			return "http://" + address
		}
		if time.Since(began) > time.Minute {
			b.Fatalf("OPA does not answer: %v: %s", err, said.String())
		}
		<-time.After(20 * time.Millisecond)
	}
}

// rules writes the library, and a module that asks each of the baseline's rules
// with its parameters.
func rules(dir string) error {
	err := fs.WalkDir(policies.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".rego") || strings.HasSuffix(path, "_test.rego") {
			return err
		}
		text, err := fs.ReadFile(policies.FS, path)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		return os.WriteFile(to, text, 0o600)
	})
	if err != nil {
		return err
	}
	p, err := baseline()
	if err != nil {
		return err
	}
	module := fmt.Sprintf("package naive\n\nasked := %d\n", len(p.Spec.Rules))
	for i := range p.Spec.Rules {
		parameters, err := parameters(&p.Spec.Rules[i])
		if err != nil {
			return err
		}
		for _, set := range []string{"deny", "hold"} {
			module += fmt.Sprintf("\n%s contains r if {\n\tall := data.codb.rules.%s.%s with data.parameters as %s\n\tsome r in all\n}\n",
				set, strings.ReplaceAll(p.Spec.Rules[i].Name, "-", "_"), set, parameters)
		}
	}
	return os.WriteFile(filepath.Join(dir, "naive.rego"), []byte(module), 0o600)
}

// parameters are the given ones, and the defaults of the others.
func parameters(use *v1alpha1.RuleUse) ([]byte, error) {
	text, err := fs.ReadFile(policies.FS, use.Name+"/schema.json")
	if err != nil {
		return nil, err
	}
	var schema struct {
		Properties map[string]struct{ Default json.RawMessage }
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		return nil, err
	}
	out := map[string]json.RawMessage{}
	for name, p := range schema.Properties {
		if p.Default != nil {
			out[name] = p.Default
		}
	}
	if use.With != nil {
		if err := json.Unmarshal(use.With.Raw, &out); err != nil {
			return nil, err
		}
	}
	return json.Marshal(out)
}

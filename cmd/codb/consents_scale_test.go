package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/internal/permit"
)

// TestManyCustomersInPostgreSQL starts an installation on CUSTOMERS (1,000
// where nothing is said) customers like the sample's, and says how long it took
// and what memory it needs. With 1,000,000: CUSTOMERS=1000000 go test -timeout 2h
// -run TestManyCustomersInPostgreSQL -v ./cmd/codb
func TestManyCustomersInPostgreSQL(t *testing.T) {
	n := 1000
	if s := os.Getenv("CUSTOMERS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	const brand = "acme"
	patience := 2*time.Minute + time.Duration(n)*time.Millisecond
	var began time.Time
	lap := func(what string) {
		t.Helper()
		t.Logf("%d customers: %s %s", n, time.Since(began).Round(time.Millisecond), what)
		began = time.Now()
	}
	began = time.Now()
	w := newTableWorld(t, patience, func(d *consentstore.Database, url string) {
		through := min(n, throughTheDoor)
		crowd(t, d, through)
		lap(fmt.Sprintf("to write %d of them through the door", through))
		copies(t, url, through, n)
		lap("to copy the others in the database")
	})
	lap("to build, install and start codb with an apiserver of its own")
	t.Logf("operator and gate in one process: %s", memory(t, w.codb.Pid()))

	w.bind(brand)
	c := w.campaign("spring", draws, func(s *v1alpha1.CampaignSpec) {
		s.Brand, s.Topic, s.Audience = brand, "Garden", v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}}
	})
	began = time.Now()
	w.is(c, patience, "everybody is asked about", func(s *v1alpha1.CampaignStatus) bool { return s.Counts != nil && s.Counts.Targeted == int64(n) })
	lap("to ask about everybody, and to say so")
	if c.Status.Counts.Allowed != int64(n) {
		t.Fatalf("the sample's customers are not allowed: %+v", c.Status)
	}
	w.becomes(c, v1alpha1.CampaignAllowed, v1alpha1.WorkloadRunning)
	p := w.podOf("spring")
	began = time.Now()
	drawn, _ := p.draw(min(n, 1000), "60s")
	lap(fmt.Sprintf("for the first %d permits", len(drawn)))
	t.Logf("operator and gate in one process, having evaluated them: %s", memory(t, w.codb.Pid()))

	leaver, err := w.door.Now(w.ctx, who(n/2))
	if err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	w.withdraws(leaver)
	w.is(c, patience, "the withdrawal counts", func(s *v1alpha1.CampaignStatus) bool { return s.Counts != nil && s.Counts.Denied == 1 })
	lap("from a withdrawal to the campaign's status")
	if id, held := drawn[leaver.Name]; held {
		w.refuses("one of many who withdrew", w.redeems(p, id))
	}
	for name, id := range drawn {
		if name != leaver.Name {
			if s := w.redeems(p, id); s != permit.Redeemed {
				t.Errorf("one of many: %s", s)
			}
			break
		}
	}

	began = time.Now()
	pid := w.secondGate(patience)
	lap("to start a gate of its own beside it")
	t.Logf("a gate alone: %s", memory(t, pid))
}

// throughTheDoor is how many are checked and written as anybody's are; more would
// tell nothing new, and take their time: BenchmarkCustomers in
// internal/consentstore writes all of them.
const throughTheDoor = 100_000

// copies adds customers up to n who say what the first one does.
func copies(t *testing.T, url string, from, n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for _, sql := range []string{
		`INSERT INTO codb_consents SELECT c.name, i + 1, jsonb_set(jsonb_set(object, '{metadata,name}', to_jsonb(c.name)), '{metadata,uid}', to_jsonb(gen_random_uuid()::text))
FROM generate_series($1::bigint, $2::bigint - 1) AS i, LATERAL (SELECT 'c-' || lpad(i::text, 7, '0') AS name) AS c, (SELECT object FROM codb_consents LIMIT 1) AS first`,
		`INSERT INTO codb_consent_revisions SELECT revision, name, 0, 'load', 'load', object FROM codb_consents WHERE revision > $1 AND revision <= $2`,
		`UPDATE codb_consent_store SET revision = $2 WHERE revision = $1`,
	} {
		if _, err := conn.Exec(t.Context(), sql, from, n); err != nil {
			t.Fatal(err)
		}
	}
}

func who(i int) string { return fmt.Sprintf("c-%07d", i) }

// crowd are n customers who say what the sample's does, without quiet hours and
// windows: whenever the test runs, they are allowed.
func crowd(t *testing.T, d *consentstore.Database, n int) {
	t.Helper()
	text, err := os.ReadFile("../../config/samples/customerconsent-c-7f3a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var sample v1alpha1.CustomerConsent
	if err := yaml.Unmarshal(text, &sample); err != nil {
		t.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // checking makes short-lived garbage
	sample.Spec.QuietHours, sample.Spec.ContactWindows, sample.Spec.Pause = nil, nil, nil
	const batchOf = 100
	writers, ctx := errgroup.WithContext(t.Context())
	writers.SetLimit(runtime.GOMAXPROCS(0))
	for from := 0; from < n && ctx.Err() == nil; from += batchOf {
		batch := make([]*v1alpha1.CustomerConsent, 0, batchOf)
		for i := from; i < min(from+batchOf, n); i++ {
			c := sample.DeepCopy()
			c.ObjectMeta = metav1.ObjectMeta{Name: who(i)}
			batch = append(batch, c)
		}
		writers.Go(func() error {
			_, err := d.Put(ctx, "load", batch)
			return err
		})
	}
	if err := writers.Wait(); err != nil {
		t.Fatal(err)
	}
}

// bind has a brand of the name act for the world's namespace.
func (w *tableWorld) bind(brand string) {
	w.Helper()
	w.create(&v1alpha1.Brand{
		ObjectMeta: metav1.ObjectMeta{Name: brand},
		Spec: v1alpha1.BrandSpec{
			DisplayName: "Acme", Namespaces: []string{w.ns}, Agreements: []v1alpha1.Depth{v1alpha1.DepthProfiling},
			Purposes: []v1alpha1.BrandPurpose{{Name: "Marketing", Class: v1alpha1.ClassMarketing, Notice: "Offers.", NoticeVersion: "1"}},
		},
	})
}

// is waits for a status.
func (w *tableWorld) is(c *v1alpha1.Campaign, patience time.Duration, what string, so func(*v1alpha1.CampaignStatus) bool) {
	w.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for over := time.After(patience); ; {
		w.get(types.NamespacedName{Namespace: c.Namespace, Name: c.Name}, c)
		if so(&c.Status) {
			return
		}
		select {
		case <-tick.C:
		case <-over:
			w.Fatalf("waited until %s: %+v", what, c.Status)
		}
	}
}

// secondGate starts one in a process of its own, and waits until it has
// everybody.
func (w *tableWorld) secondGate(patience time.Duration) (pid int) {
	w.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	at := l.Addr().String()
	_ = l.Close()
	gate := w.codb.Command(w.ctx, "gate", "--consents-file="+w.file, "--ledger-file="+w.file, "--metrics-address=0", "--probe-address="+at)
	if err := gate.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = gate.Process.Kill(); _ = gate.Wait() })
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for over := time.After(patience); ; {
		answer, err := http.Get("http://" + at + "/readyz")
		if err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return gate.Process.Pid
			}
		}
		select {
		case <-tick.C:
		case <-over:
			w.Fatal("the second gate is not ready")
		}
	}
}

var resident = regexp.MustCompile(`Vm(HWM|RSS):\s+(\d+) kB`)

// memory is what a process has, and what it had at most.
func memory(t *testing.T, pid int) string {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	out := ""
	for _, m := range resident.FindAllStringSubmatch(string(raw), -1) {
		kb, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		out += fmt.Sprintf("%s %d MB ", m[1], kb>>10)
	}
	return out
}

// Package permits measures what handing out permits costs, as pods feel it,
// beside what nobody can do without and what everybody would do at first. It
// holds no code of codb.
package permits

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/permit"
	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/policies"
	"github.com/codb-dev/codb/test/fleet"
)

// TestMain lets the test binary be its own policy worker, like codb.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "policy-worker" {
		lib, err := policy.LoadLibrary(policies.FS)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		os.Exit(policy.WorkerMain(lib, os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// engine is what codb ships decides with: the floor and the baseline, compiled.
var engine = sync.OnceValues(func() (decision.Judge, error) {
	lib, err := policy.LoadLibrary(policies.FS)
	if err != nil {
		return nil, err
	}
	p, err := baseline()
	if err != nil {
		return nil, err
	}
	book := policy.NewBook(lib, policy.NewSandbox(lib, policy.Options{}))
	own := policy.FromObject(p)
	return book.Judge(context.Background(), []policy.InForce{{Policy: own, Match: p.Spec.Match, Digest: lib.Digest(own)}})
})

func baseline() (*v1alpha1.CampaignPolicy, error) {
	text, err := os.ReadFile("../../config/policy/baseline.yaml")
	if err != nil {
		return nil, err
	}
	p := &v1alpha1.CampaignPolicy{}
	return p, yaml.Unmarshal(text, p)
}

// town is n customers, each of one of the campaigns, who all said yes and want
// two contacts a week.
type town struct {
	ids   []string
	rows  *audience.Table
	judge decision.Judge
}

// campaigns that run at once; a pod is of one of them.
const campaigns = 4

func newTown(b *testing.B, n int) *town {
	b.Helper()
	judge, err := engine()
	if err != nil {
		b.Fatal(err)
	}
	w := &town{rows: audience.NewTable(), judge: judge}
	for i := range n {
		id := fmt.Sprintf("c-%08d", i)
		c := fleet.Customer(id, group(i))
		c.Spec.Caps = []v1alpha1.FrequencyCap{{
			Name: "mine", Max: 2, Window: v1alpha1.WindowRolling, Length: "168h", Counts: []v1alpha1.PurposeClass{v1alpha1.ClassMarketing},
		}}
		w.ids = append(w.ids, id)
		w.rows.Put(id, c, time.Now())
	}
	for i := range min(n, campaigns) { // what is compiled for a campaign is compiled once
		r, _ := w.rows.Get(w.ids[i])
		p := r.Person("acme")
		if _, err := judge.Judge(b.Context(), decision.Question{Now: time.Now(), Campaign: facts(i), Subjects: []decision.Subject{{Person: p}}}); err != nil {
			b.Fatal(err)
		}
	}
	return w
}

func group(i int) string { return fmt.Sprint("group-", i%campaigns) }

func campaign(i int) *v1alpha1.Campaign {
	return fleet.Campaign("acme-shop", fmt.Sprint("run-", i%campaigns), group(i), nil)
}

func facts(i int) decision.Campaign { return decision.Facts(campaign(i), v1alpha1.ClassMarketing) }

// Records, which stay as they are: what proving that costs is measured
// elsewhere, and shared by all of a batch.
func (w *town) Records() audience.Records { return w.rows }

// Current implements gate.World.
func (w *town) Current(_ context.Context, h gate.Holder) (*gate.Case, error) {
	var i int
	if _, err := fmt.Sscanf(h.Campaign.Name, "run-%d", &i); err != nil {
		return nil, err
	}
	return &gate.Case{
		Terms: permit.Terms{
			Campaign: h.Campaign, Facts: facts(i), PolicyDigest: w.judge.Digest(), ConsentRevision: "cr-00000000-1",
		},
		Audience: &campaign(i).Spec.Audience, Judge: w.judge, Key: h.Campaign.Name,
	}, nil
}

// podNames are tokens, too.
type podNames struct{}

func (podNames) Holder(_ context.Context, token string) (gate.Holder, error) {
	var i int
	if _, err := fmt.Sscanf(token, "pod-%d", &i); err != nil {
		return gate.Holder{}, gate.ErrUnauthenticated
	}
	run := fmt.Sprint("run-", i%campaigns)
	return gate.Holder{Pod: token, Job: run, Campaign: contacts.Campaign{
		Namespace: "acme-shop", Name: run, UID: "uid-" + run, Generation: 1, Job: "job-" + run,
	}}, nil
}

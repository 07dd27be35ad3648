// Command bench measures a running codb from outside, as its users feel it:
// how long one campaign over all customers takes, and how long after a
// withdrawal was acknowledged the campaign's verdict has changed and its Job is
// suspended. hack/bench.sh brings up what it needs.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

const (
	namespace = "bench"
	brand     = "bench"
	group     = "bench.consent.codb.dev/group" // label: the campaign that the customer is meant by
)

type bench struct {
	client.WithWatch
	consents                                consents
	customers, campaigns, trials, everybody int
	codb                                    int
	permits                                 bool
	metrics                                 string
}

func main() {
	b := bench{}
	flag.IntVar(&b.customers, "customers", 20_000, "customers")
	flag.IntVar(&b.campaigns, "campaigns", 50, "campaigns that run, each to its share of the customers")
	flag.IntVar(&b.trials, "trials", 200, "withdrawals that are measured")
	flag.IntVar(&b.everybody, "everybody", 3, "campaigns to everybody that are measured, one after the other")
	at := flag.String("consents", "", "PostgreSQL database of consents; codb uses the same. Default: the apiserver")
	server := flag.Bool("postgres", false, "run a PostgreSQL, say where, and measure nothing")
	flag.BoolVar(&b.permits, "permits", false, "campaigns draw permits; what is measured is until a sender is refused who holds one")
	flag.IntVar(&b.codb, "codb", 0, "process id of codb, to read its memory; 0: don't")
	flag.StringVar(&b.metrics, "metrics", "", "address of codb's metrics, to read what is alive of its memory")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	run := func(ctx context.Context) error { return b.run(ctx, *at) }
	if *server {
		run = serve
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, at string) error {
	s := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(s), v1alpha1.AddToScheme(s)); err != nil {
		return err
	}
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	cfg.QPS = -1
	if b.WithWatch, err = client.NewWithWatch(cfg, client.Options{Scheme: s}); err != nil {
		return err
	}
	b.consents = objects{b.WithWatch}
	if at != "" {
		r, err := openRows(ctx, at)
		if err != nil {
			return err
		}
		defer r.Close()
		b.consents = r
	}
	empty := b.memory()
	if err := b.populate(ctx); err != nil {
		return fmt.Errorf("make customers: %w", err)
	}
	if err := b.consents.settled(ctx); err != nil {
		return err
	}
	if err := b.known(ctx); err != nil {
		return err
	}
	full := b.memory()
	fmt.Printf("memory of codb: %d MiB without customers, %d MiB with %d: %d bytes a customer; alive of it %d MiB and %d MiB: %d bytes a customer\n",
		empty.resident>>20, full.resident>>20, b.customers, (full.resident-empty.resident)/int64(b.customers),
		empty.alive>>20, full.alive>>20, (full.alive-empty.alive)/int64(b.customers))
	if b.permits {
		return b.refusals(ctx, cfg)
	}
	if err := b.whole(ctx); err != nil {
		return fmt.Errorf("one campaign over everybody: %w", err)
	}
	return b.withdrawals(ctx)
}

// memory is codb's in bytes, its policy workers not counted: what the system has
// given it, and what was alive on its heap at the last collection.
type memory struct{ resident, alive int64 }

func (b *bench) memory() (m memory) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", b.codb))
	if err == nil {
		var size int64
		_, _ = fmt.Sscan(string(raw), &size, &m.resident)
		m.resident *= int64(os.Getpagesize())
	}
	answer, err := http.Get(b.metrics)
	if err != nil {
		return m
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "go_gc_heap_live_bytes "); ok {
			f, _ := strconv.ParseFloat(v, 64)
			m.alive = int64(f)
		}
	}
	return m
}

func (b *bench) ensure(ctx context.Context, o client.Object) error {
	if err := b.Create(ctx, o); !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}

func (b *bench) populate(ctx context.Context) error {
	err := errors.Join(
		b.ensure(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}),
		b.ensure(ctx, &v1alpha1.Brand{ObjectMeta: metav1.ObjectMeta{Name: brand}, Spec: v1alpha1.BrandSpec{
			DisplayName: "Bench", Namespaces: []string{namespace}, Agreements: []v1alpha1.Depth{v1alpha1.DepthProfiling},
			Purposes: []v1alpha1.BrandPurpose{{Name: "Marketing", Class: v1alpha1.ClassMarketing, Notice: "Offers.", NoticeVersion: "1"}},
		}}),
	)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := b.consents.create(ctx, b.customers, b.customer); err != nil {
		return err
	}
	fmt.Printf("%d customers written in %s\n", b.customers, time.Since(start).Round(100*time.Millisecond))
	return nil
}

func name(i int) string { return fmt.Sprintf("c-%06d", i) }

func (b *bench) customer(i int) *v1alpha1.CustomerConsent {
	asked := metav1.NewTime(time.Now().AddDate(0, 0, -60).Truncate(time.Second))
	born := int32(1950 + i%50)
	return &v1alpha1.CustomerConsent{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: v1alpha1.CustomersNamespace, Name: name(i), Labels: map[string]string{group: fmt.Sprint(i % b.campaigns)},
		},
		Spec: v1alpha1.CustomerConsentSpec{
			TimeZone: "Europe/Berlin", TimeZoneSource: "Declared", Jurisdiction: "DE", BirthYear: &born,
			Relationships: []v1alpha1.Relationship{{Brand: brand, Depth: v1alpha1.DepthProfiling, Grants: []v1alpha1.Grant{
				{Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Status: v1alpha1.ConsentGiven, CaptureDate: asked, DoubleConsentCaptureDate: &asked},
			}}},
		},
	}
}

// known waits until codb has all customers.
func (b *bench) known(ctx context.Context) error {
	c := b.campaign("known", v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}})
	c.Spec.Workload = nil
	if err := b.Create(ctx, c); err != nil {
		return err
	}
	all := func(s *v1alpha1.CampaignStatus) bool {
		return s.Counts != nil && s.Counts.Targeted == int64(b.customers)
	}
	return errors.Join(b.until(ctx, c.Name, all), b.Delete(ctx, c))
}

func (b *bench) campaign(n string, a v1alpha1.Audience) *v1alpha1.Campaign {
	return &v1alpha1.Campaign{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: n},
		Spec: v1alpha1.CampaignSpec{
			Brand: brand, Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Topic: "Garden", Depth: v1alpha1.DepthProfiling, Owner: "bench", Audience: a,
			Workload: &v1alpha1.Workload{Job: &v1alpha1.JobTemplate{Image: "localhost/codb-busy:dev", Command: []string{"/busy", "sleep", "24h"}}},
		},
	}
}

// whole measures from the creation of a campaign to everybody to its verdict.
func (b *bench) whole(ctx context.Context) error {
	var took []time.Duration
	for i := range b.everybody {
		c := b.campaign(fmt.Sprintf("everybody-%d", i), v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}})
		c.Spec.Hold = nil
		c.Spec.Workload = nil
		start := time.Now()
		if err := b.Create(ctx, c); err != nil {
			return err
		}
		if err := b.until(ctx, c.Name, func(s *v1alpha1.CampaignStatus) bool {
			return s.Counts != nil && s.Counts.Targeted == int64(b.customers)
		}); err != nil {
			return err
		}
		took = append(took, time.Since(start))
		if err := b.Delete(ctx, c); err != nil {
			return err
		}
	}
	report(fmt.Sprintf("campaign over %d customers, created -> verdict", b.customers), took)
	return nil
}

// withdrawals measures, each time on another campaign that runs.
func (b *bench) withdrawals(ctx context.Context) error {
	for i := range b.campaigns {
		if err := b.ensure(ctx, b.group(i)); err != nil {
			return err
		}
	}
	for i := range b.campaigns {
		if err := b.until(ctx, groupName(i), runs); err != nil {
			return err
		}
	}
	jobs, err := b.Watch(ctx, &batchv1.JobList{}, client.InNamespace(namespace))
	if err != nil {
		return err
	}
	defer jobs.Stop()
	suspended := make(chan string, 1024)
	go func() {
		for e := range jobs.ResultChan() {
			if j, ok := e.Object.(*batchv1.Job); ok && j.Spec.Suspend != nil && *j.Spec.Suspend && j.Annotations[v1alpha1.AnnotationDecision] != "" {
				suspended <- j.Name
			}
		}
	}()
	var held, said []time.Duration
	for t := range b.trials {
		i := t % b.campaigns
		camp := groupName(i)
		person := i + b.campaigns*rand.IntN(b.customers/b.campaigns)
		for len(suspended) > 0 {
			<-suspended
		}
		if err := b.consents.optOut(ctx, name(person), true); err != nil {
			return err
		}
		start := time.Now() // acknowledged
		if err := waitFor(suspended, camp); err != nil {
			return fmt.Errorf("trial %d: %w", t, err)
		}
		held = append(held, time.Since(start))
		partly := func(s *v1alpha1.CampaignStatus) bool { return s.Verdict == v1alpha1.CampaignPartlyAllowed }
		if err := b.until(ctx, camp, partly); err != nil {
			return err
		}
		said = append(said, time.Since(start))
		if err := b.consents.optOut(ctx, name(person), false); err != nil {
			return err
		}
		c := &v1alpha1.Campaign{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: camp}}
		topic := fmt.Sprintf(`{"spec":{"topic":"Garden%d"}}`, t)
		if err := b.Patch(ctx, c, client.RawPatch("application/merge-patch+json", []byte(topic))); err != nil {
			return err
		}
		if err := b.until(ctx, camp, runs); err != nil {
			return err
		}
	}
	what := fmt.Sprintf("withdrawal acknowledged, %d customers, %d campaigns", b.customers, b.campaigns)
	report(what+" -> Job suspended", held)
	report(what+" -> verdict changed", said)
	return nil
}

func waitFor(names <-chan string, want string) error {
	limit := time.After(time.Minute)
	for {
		select {
		case got := <-names:
			if got == want {
				return nil
			}
		case <-limit:
			return fmt.Errorf("wait for Job %s: it was not suspended within a minute", want)
		}
	}
}

// group is the campaign to one share of the customers.
func (b *bench) group(i int) *v1alpha1.Campaign {
	return b.campaign(groupName(i), v1alpha1.Audience{Selector: &v1alpha1.AudienceSelector{
		Labels: []v1alpha1.LabelMatch{{Key: group, Values: []string{fmt.Sprint(i)}}},
	}})
}

func groupName(i int) string { return fmt.Sprintf("group-%d", i) }

func runs(s *v1alpha1.CampaignStatus) bool {
	return s.Verdict == v1alpha1.CampaignAllowed && s.Workload == v1alpha1.WorkloadRunning
}

// until waits for a campaign's status.
func (b *bench) until(ctx context.Context, campaign string, ok func(*v1alpha1.CampaignStatus) bool) error {
	c := &v1alpha1.Campaign{}
	err := poll(ctx, 5*time.Minute, 5*time.Millisecond, func() (bool, error) {
		err := b.Get(ctx, client.ObjectKey{Namespace: namespace, Name: campaign}, c)
		return err == nil && c.Status.ObservedGeneration == c.Generation && ok(&c.Status), err
	})
	if err != nil {
		return fmt.Errorf("wait for campaign %s, now %s %s (%s): %w", campaign, c.Status.Verdict, c.Status.Workload, c.Status.Why, err)
	}
	return nil
}

func poll(ctx context.Context, limit, every time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
	}
}

func report(what string, took []time.Duration) {
	slices.Sort(took)
	at := func(p int) time.Duration {
		return took[min(len(took)-1, len(took)*p/100)].Round(100 * time.Microsecond)
	}
	fmt.Println(strings.Join([]string{
		what, fmt.Sprintf("n=%d", len(took)), "p50 " + at(50).String(), "p90 " + at(90).String(), "p99 " + at(99).String(), "max " + at(100).String(),
	}, "  "))
}

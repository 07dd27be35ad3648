package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// leaderLease is the Lease that the leader renews.
const leaderLease = "codb-operator"

// stuck is how long a leader may go without renewing before it is restarted:
// the lease's 15 s, after which it should have stepped down by itself, and some.
const stuck = 35 * time.Second

// watchedLock tells whether the election goes on: a process that lost its lease
// and still believes to lead must be restarted.
type watchedLock struct {
	resourcelock.Interface
	clock clock.PassiveClock

	mu      sync.Mutex
	leads   bool
	renewed time.Time
}

func newWatchedLock(cfg *rest.Config, c clock.PassiveClock) (*watchedLock, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("name this candidate: %w", err)
	}
	clients, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, v1alpha1.SystemNamespace, leaderLease,
		clients.CoreV1(), clients.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())})
	return &watchedLock{Interface: lock, clock: c}, err
}

// Create makes the Lease.
func (l *watchedLock) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.note(r, l.Interface.Create(ctx, r))
}

// Update renews the Lease, or gives it up.
func (l *watchedLock) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.note(r, l.Interface.Update(ctx, r))
}

func (l *watchedLock) note(r resourcelock.LeaderElectionRecord, err error) error {
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.leads, l.renewed = r.HolderIdentity == l.Identity(), l.clock.Now()
	}
	return err
}

func (l *watchedLock) check(*http.Request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := l.clock.Since(l.renewed); l.leads && since > stuck {
		return fmt.Errorf("leads without having renewed its lease for %s", since.Round(time.Second))
	}
	return nil
}

// maxSkew is how far this machine's clock may be from the apiserver's: quiet
// hours and the ends of consents are a matter of minutes, not of seconds.
const maxSkew = 30 * time.Second

// serverTime compares this machine's clock with the apiserver's.
type serverTime struct {
	http  *http.Client
	url   string
	clock clock.PassiveClock
}

func newServerTime(cfg *rest.Config, c clock.PassiveClock) (*serverTime, error) {
	h, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, err
	}
	base, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, err
	}
	return &serverTime{http: h, url: base.JoinPath("version").String(), clock: c}, nil
}

// agrees is nil while the clocks do, as far as can be told: a slow answer is no
// reason to complain, since the apiserver may have written it at any moment
// between question and answer, and its Date has whole seconds.
func (s *serverTime) agrees(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return err
	}
	asked := s.clock.Now()
	res, err := s.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the apiserver for its time: %w", err)
	}
	defer res.Body.Close()
	answered := s.clock.Now()
	date, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return fmt.Errorf("ask the apiserver for its time: %w", err)
	}
	ahead, behind := asked.Sub(date.Add(time.Second)), date.Sub(answered)
	switch {
	case ahead > maxSkew:
		return fmt.Errorf("this machine's clock is %s ahead of the apiserver's; nothing is released, and nobody contacted, until they agree: check NTP", ahead.Round(time.Second))
	case behind > maxSkew:
		return fmt.Errorf("this machine's clock is %s behind the apiserver's; nothing is released, and nobody contacted, until they agree: check NTP", behind.Round(time.Second))
	}
	return nil
}

// explained logs why a check fails, once for each reason: a probe's answer
// withholds it.
func explained(name string, check func(context.Context) error) healthz.Checker {
	var (
		mu   sync.Mutex
		said string
	)
	return func(req *http.Request) error {
		err := check(req.Context())
		reason := ""
		if err != nil {
			reason = err.Error()
		}
		mu.Lock()
		defer mu.Unlock()
		if reason != said && reason != "" && req.Context().Err() == nil {
			ctrl.Log.WithName("ready").Info("not ready, and nothing is released", "check", name, "reason", reason)
		}
		said = reason
		return err
	}
}

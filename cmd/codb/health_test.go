package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// TestClocks: an apiserver that is far off stops every release.
func TestClocks(t *testing.T) {
	here := time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)
	cases := map[string]struct {
		date string
		good bool
	}{
		"the same":               {here.Format(http.TimeFormat), true},
		"a little ahead":         {here.Add(30 * time.Second).Format(http.TimeFormat), true},
		"a little behind":        {here.Add(-31 * time.Second).Format(http.TimeFormat), true}, // its Date has whole seconds
		"too far ahead":          {here.Add(31 * time.Second).Format(http.TimeFormat), false},
		"too far behind":         {here.Add(-32 * time.Second).Format(http.TimeFormat), false},
		"an answer without time": {"soon", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", c.date)
			}))
			defer server.Close()
			s, err := newServerTime(&rest.Config{Host: server.URL}, clocktesting.NewFakePassiveClock(here))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.agrees(t.Context()); (err == nil) != c.good {
				t.Errorf("got %v, want good: %t", err, c.good)
			}
		})
	}
}

// lease takes every write.
type lease struct {
	resourcelock.Interface
	err error
}

func (l *lease) Identity() string { return "me" }
func (l *lease) Create(context.Context, resourcelock.LeaderElectionRecord) error {
	return l.err
}
func (l *lease) Update(context.Context, resourcelock.LeaderElectionRecord) error {
	return l.err
}

func TestLeaderThatLostItsLeaseIsRestarted(t *testing.T) {
	clk := clocktesting.NewFakePassiveClock(time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC))
	inner := &lease{}
	l := &watchedLock{Interface: inner, clock: clk}
	alive := func(want bool, when string) {
		t.Helper()
		if err := l.check(nil); (err == nil) != want {
			t.Errorf("%s: got %v, want alive: %t", when, err, want)
		}
	}
	pass := func(d time.Duration) { clk.SetTime(clk.Now().Add(d)) }
	mine := resourcelock.LeaderElectionRecord{HolderIdentity: "me"}

	pass(time.Hour)
	alive(true, "it has never led")
	_ = l.Create(t.Context(), mine)
	pass(stuck)
	alive(true, "it may still step down")
	pass(1)
	alive(false, "it neither renewed nor stepped down")
	_ = l.Update(t.Context(), mine)
	alive(true, "it renewed")
	inner.err = errors.New("conflict")
	pass(stuck + 1)
	_ = l.Update(t.Context(), mine)
	alive(false, "its renewal was refused")
	inner.err = nil
	_ = l.Update(t.Context(), resourcelock.LeaderElectionRecord{})
	pass(time.Hour)
	alive(true, "it gave the lease up")
}

// TestTheGateIsFollowedWhereItGoes: another authority or address ends the feed,
// so that it is dialled anew.
func TestTheGateIsFollowedWhereItGoes(t *testing.T) {
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: gateConfigMap},
		Data:       map[string]string{"url": "https://10.0.0.7:443", "ca.crt": "old"},
	}
	c := fake.NewClientBuilder().WithObjects(cm).Build()
	where := gateAddress{c}
	at, err := where.find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := (address{url: at.url, ca: "new"}).publish(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	look := make(chan time.Time, 1)
	look <- time.Time{}
	go func() {
		defer close(ended)
		_ = feedUntilMoved(t.Context(), where, at, look, func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		})
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the old gate is still followed")
	}
	if now, _ := where.find(t.Context()); now.ca != "new" {
		t.Errorf("published %q, want the new authority", now.ca)
	}
}

// TestMetricsOfTheGatesClientSurviveARedial: a second client must not panic.
func TestMetricsOfTheGatesClientSurviveARedial(t *testing.T) {
	registry := prometheus.NewRegistry()
	for want := range 2 {
		g := promauto.With(replacing{registry}).NewGauge(prometheus.GaugeOpts{Name: "consent_gate_feed_sequence"})
		g.Set(float64(want))
		got, err := registry.Gather()
		if err != nil || len(got) != 1 || got[0].GetMetric()[0].GetGauge().GetValue() != float64(want) {
			t.Errorf("got %v, %v, want one gauge at %d", got, err, want)
		}
	}
}

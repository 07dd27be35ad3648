package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// probeTime is what the question behind a metric may take.
const probeTime = 5 * time.Second

// measureAdmission says whether the apiserver refuses what it should, as of
// whoever asked last.
func measureAdmission(r prometheus.Registerer, admitted func(context.Context) error) {
	promauto.With(r).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "consent_admission_in_force", Help: "1 while codb's admission policies refuse what they should, tried by dry run at most every ten seconds.",
	}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), probeTime)
		defer cancel()
		if admitted(ctx) != nil {
			return 0
		}
		return 1
	})
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/controllers/brand"
	"github.com/codb-dev/codb/controllers/campaign"
	"github.com/codb-dev/codb/controllers/campaigndecision"
	"github.com/codb-dev/codb/controllers/campaignpolicy"
	"github.com/codb-dev/codb/controllers/consentreview"
	"github.com/codb-dev/codb/controllers/customerconsent"
	"github.com/codb-dev/codb/controllers/gateaddress"
	"github.com/codb-dev/codb/controllers/posture"
	"github.com/codb-dev/codb/internal/admission"
	"github.com/codb-dev/codb/internal/certificate"
	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/gate"
	"github.com/codb-dev/codb/internal/policy"
	"github.com/codb-dev/codb/internal/webhook"
	"github.com/codb-dev/codb/internal/workload"
)

// assemble marries the rooms of the house: it is the one place that knows all
// of them.
func assemble(ctx context.Context, mgr manager.Manager, cfg *rest.Config, o operatorOptions, cert *certificate.Keeper, served *servedGate) error {
	d, err := newDeciding(ctx, mgr, o.sandboxes, &o.consents)
	if err != nil {
		return err
	}
	ledger, err := followGate(mgr, cfg, o)
	if err != nil {
		return err
	}
	keeper := &workload.Keeper{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Kueue: o.kueue != ""}
	live, err := client.New(cfg, client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return fmt.Errorf("make a client without a cache: %w", err)
	}
	if served != nil {
		if err := served.give(d, cfg, live, mgr.GetClient()); err != nil {
			return err
		}
		if err := mgr.Add(served); err != nil {
			return err
		}
	}
	shipped, err := config.Objects(config.Values{Kueue: o.kueue, Elsewhere: o.consents.elsewhere()}, config.Admission, config.Mutation)
	if err != nil {
		return err
	}
	inForce := remembered(probeAge, func(ctx context.Context) error {
		return admission.Check(ctx, mgr.GetClient(), mgr.GetAPIReader(), shipped)
	})
	measureAdmission(metrics.Registry, inForce)
	server, err := newServerTime(cfg, systemClock)
	if err != nil {
		return err
	}
	onTime := remembered(probeAge, server.agrees)
	admitted := func(ctx context.Context) error { return errors.Join(onTime(ctx), inForce(ctx)) }

	if err := mgr.Add(cert); err != nil {
		return err
	}
	if o.baseline {
		if err := mgr.Add(&baseline{reader: mgr.GetAPIReader(), client: mgr.GetClient()}); err != nil {
			return err
		}
	}
	if err := mgr.AddReadyzCheck("admission", explained("admission", inForce)); err != nil {
		return err
	}
	if err := mgr.AddReadyzCheck("clock", explained("clock", onTime)); err != nil {
		return err
	}
	if !o.consents.elsewhere() {
		said := &customerconsent.Reconciler{Client: live, Consents: d.consents, Namespace: v1alpha1.CustomersNamespace, Clock: systemClock, Workers: 4}
		if err := said.SetupWithManager(mgr); err != nil {
			return fmt.Errorf("set up %T: %w", said, err)
		}
	}
	for _, c := range []interface{ SetupWithManager(ctrl.Manager) error }{
		&brand.Reconciler{
			Client: mgr.GetClient(), Events: mgr.GetEventRecorder("codb"), Reserved: []string{v1alpha1.CustomersNamespace},
			Gates: func(ctx context.Context, namespace string) error {
				return cmp.Or(inForce(ctx), admission.Gates(ctx, live, namespace))
			},
		},
		&gateaddress.Reconciler{Client: mgr.GetClient()},
		&campaignpolicy.Reconciler{
			Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Checker: d.sandbox, Library: d.library, Book: d.book,
			Namespace: v1alpha1.SystemNamespace, Events: mgr.GetEventRecorder("codb"),
		},
		&campaign.Reconciler{
			Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Consents: d.consents, Policies: d.book, Contacts: ledger,
			Keeper: keeper, LiveKeeper: &workload.Keeper{Client: live, Kueue: o.kueue != ""}, Admitted: admitted, Clock: systemClock, Events: mgr.GetEventRecorder("codb"), Workers: o.workers,
			Metrics: campaign.NewMetrics(metrics.Registry, mgr.GetClient()),
		},
		&campaigndecision.Reconciler{Client: mgr.GetClient(), Clock: systemClock, OnTime: onTime, Retention: o.retention},
		&consentreview.Reconciler{
			Client: mgr.GetClient(), Consents: d.consents, Policies: d.book, Contacts: ledger, Keeper: keeper, Clock: systemClock,
		},
		&posture.Detector{
			Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Admission: admitted,
			Events: mgr.GetEventRecorder("codb"), Metrics: posture.NewMetrics(metrics.Registry),
		},
		webhook.Policies{Check: compiles(d.sandbox)},
	} {
		if err := c.SetupWithManager(mgr); err != nil {
			return fmt.Errorf("set up %T: %w", c, err)
		}
	}
	return nil
}

// probeAge is how long a proof that the admission policies hold is believed.
const probeAge = 10 * time.Second

// remembered asks again only when the last good answer is older than age.
func remembered(age time.Duration, ask func(context.Context) error) func(context.Context) error {
	var (
		mu   sync.Mutex
		good time.Time
	)
	return func(ctx context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(good) < age {
			return nil
		}
		err := ask(ctx)
		if err == nil {
			good = time.Now()
		}
		return err
	}
}

// followGate keeps the projection of the contact ledger up to date. A gate that
// is not there yet is waited for: until then nothing is released.
func followGate(mgr manager.Manager, cfg *rest.Config, o operatorOptions) (past, error) {
	p := past{projection: contacts.NewProjection(contacts.LookBack), gate: &lateGate{}, clock: systemClock}
	return p, mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		return p.gate.run(ctx, gateAddress{mgr.GetAPIReader()}, func(at address) (*gate.Client, error) {
			token, err := operatorToken(cfg, o.gateToken)
			if err != nil {
				return nil, err
			}
			return at.dial(token, gate.ClientOptions{Metrics: replacing{metrics.Registry}})
		}, p.projection)
	}))
}

// compiles marries the sandbox with the webhook.
func compiles(sandbox *policy.Sandbox) webhook.Check {
	return func(ctx context.Context, p *v1alpha1.CampaignPolicy) (field.ErrorList, []string, error) {
		report, err := sandbox.Check(ctx, policy.FromObject(p))
		if err != nil {
			return nil, nil, err
		}
		var wrong field.ErrorList
		for _, problem := range report.Problems {
			wrong = append(wrong, &field.Error{
				Type: field.ErrorTypeInvalid, Field: problem.Field, BadValue: field.OmitValueType{}, Detail: problem.String(),
			})
		}
		var failing []string
		for _, t := range report.Tests {
			if !t.Passed {
				failing = append(failing, fmt.Sprintf("%s: want %s, got %s", t.Name, t.Want, t.Got))
			}
		}
		return wrong, failing, nil
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/internal/certificate"
	"github.com/codb-dev/codb/internal/consentstore"
	"github.com/codb-dev/codb/internal/consentstore/door"
	"github.com/codb-dev/codb/internal/crd"
)

// doorOptions are the flags of codb consents.
type doorOptions struct {
	consents consentOptions
	address  string
	secret   string
	life     time.Duration
}

// doorService is the Service by which the apiserver reaches the door.
const doorService = "codb-consents"

func consentsCommand() *cobra.Command {
	var o doorOptions
	c := &cobra.Command{
		Use:   "consents",
		Short: "serve consents that are in PostgreSQL behind the apiserver, to kubectl and everybody else",
		Long: "Consents serves customerconsents.store.consent.codb.dev, where customers' consents are in PostgreSQL:\n" +
			"whoever asks the apiserver for them is sent here, with their identity and their rights.\n" +
			"The APIService and the Service " + doorService + " say where; config/postgres/consents has them.",
		Args: cobra.NoArgs,
	}
	o.consents.register(c.Flags())
	c.Flags().StringVar(&o.address, "address", ":8443", "where the apiserver comes in; probes at /livez and /readyz, metrics at /metrics")
	c.Flags().StringVar(&o.secret, "certificate-secret", "", "Secret in codb's namespace that keeps the certificate; empty: this process")
	c.Flags().DurationVar(&o.life, "certificate-life", certificateLife, "how long a certificate is good for; it is renewed when less than half is left")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		log := nameless(newLogger())
		ctrl.SetLogger(log)
		klog.SetLogger(log.V(1)) // the apiserver's library has its own, and tells all that it does
		if !o.consents.elsewhere() {
			return errors.New("give --consents: custom resources need nobody to serve them")
		}
		cfg, err := ctrl.GetConfig()
		if err != nil {
			return fmt.Errorf("find the cluster: %w", err)
		}
		return runDoor(cmd.Context(), cfg, o)
	}
	return c
}

// runDoor serves until ctx ends.
func runDoor(ctx context.Context, cfg *rest.Config, o doorOptions) error {
	s, err := newScheme()
	if err != nil {
		return err
	}
	c, err := client.New(cfg, client.Options{Scheme: s})
	if err != nil {
		return err
	}
	at, err := o.consents.database.address()
	if err != nil {
		return err
	}
	store, err := openConsents(ctx, at, consentstore.DatabaseOptions{NobodyAtHand: true, Late: true, Admit: home{read: c}.isThis})
	if err != nil {
		return err
	}
	defer store.Close()
	kinds, err := crd.Load(config.CRDFiles())
	if err != nil {
		return err
	}
	kind := kinds["CustomerConsent"]
	cert := newKeeper(c, c, o.secret, o.life)
	cert.Names = func(context.Context) ([]string, error) {
		return []string{doorService + "." + v1alpha1.SystemNamespace + ".svc"}, nil
	}
	cert.Publish = func(ctx context.Context, ca []byte) error { return believeDoor(ctx, c, ca) }
	if err := firstLook(ctx, cert); err != nil {
		return err
	}
	go func() { _ = cert.Start(ctx) }() // it ends without an error, with ctx
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", o.address)
	if err != nil {
		return fmt.Errorf("serve consents: %w", err)
	}
	server, err := door.New(ctx, door.Options{
		Store: store, Namespace: v1alpha1.CustomersNamespace, CRD: kind.CRD, Ready: func() error { return reached(store) },
		Judge:   func(o, old *v1alpha1.CustomerConsent) (field.ErrorList, error) { return kind.Judge(o, old) },
		Cluster: cfg, Listener: l, Certificate: cert.GetCertificate, Clock: systemClock.Now, Log: ctrl.Log.WithName("consents"),
	})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	return server.Start(ctx)
}

// firstLook waits for a first certificate: without one nobody can come in.
func firstLook(ctx context.Context, cert *certificate.Keeper) error {
	for {
		err := cert.Look(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			cert.Failed(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func reached(d *consentstore.Database) error {
	select {
	case <-d.Reached():
		return nil
	default:
		return d.Healthy()
	}
}

// isThis is nil if the operator has settled on the database's store.
func (h home) isThis(ctx context.Context, id string) error {
	there, err := h.named(ctx)
	if want := "postgresql/" + id; err == nil && there != want {
		err = fmt.Errorf("this installation keeps its consents in %q, and this is %s: give operator, gates and this the same --consents", there, want)
	}
	return err
}

// believeDoor tells the apiserver whose word to take for the door's name.
func believeDoor(ctx context.Context, c client.Client, ca []byte) error {
	var api unstructured.Unstructured
	api.SetAPIVersion("apiregistration.k8s.io/v1")
	api.SetKind("APIService")
	name := v1alpha1.StoreGroupVersion.Version + "." + v1alpha1.StoreGroupVersion.Group
	if err := c.Get(ctx, types.NamespacedName{Name: name}, &api); err != nil {
		return fmt.Errorf("read APIService %s: %w; config/postgres/consents has it", name, err)
	}
	text, _, err := unstructured.NestedString(api.Object, "spec", "caBundle")
	if err != nil {
		return fmt.Errorf("read APIService %s: %w", name, err)
	}
	if now, err := base64.StdEncoding.DecodeString(text); err == nil && bytes.Equal(now, ca) {
		return nil
	}
	patch := fmt.Appendf(nil, `{"spec":{"caBundle":%q}}`, base64.StdEncoding.EncodeToString(ca))
	if err := c.Patch(ctx, &api, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("tell the apiserver whom to believe: %w", err)
	}
	return nil
}

// Package posture looks for what admission can't refuse and reports it: policies
// that were changed or are gone, namespaces that left enforcement, workloads
// and pods that no release accounts for. It repairs nothing and knows nothing
// of decisions.
package posture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/admission"
)

// The kinds of violations. Each is a reason of an event and a label of the
// metrics.
const (
	AdmissionNotInForce = "AdmissionNotInForce" // something that must be refused would be admitted
	PolicyChanged       = "PolicyChanged"       // an admission policy or binding is not as codb ships it
	PolicyGone          = "PolicyGone"
	NamespaceUngated    = "NamespaceUngated" // a Brand lists it, and its label is missing or was
	WorkloadOutside     = "WorkloadOutside"  // a campaign's, where consent is not enforced
	WorkloadUnproven    = "WorkloadUnproven" // runs, and no release accounts for it
	PodsOutOfHand       = "PodsOutOfHand"    // in an enforced namespace, of no campaign's Job
)

var kinds = []string{AdmissionNotInForce, PolicyChanged, PolicyGone, NamespaceUngated, WorkloadOutside, WorkloadUnproven, PodsOutOfHand}

// every is how often it looks when nothing wakes it: nothing tells us of a
// policy that is no longer in force.
const every = 10 * time.Second

// maxNote is what the API takes as the note of an event.
const maxNote = 1024

// violation is one thing that is not as it must be.
type violation struct {
	kind string
	on   client.Object // what a person looks at
	note string
}

func (v violation) key() string {
	return fmt.Sprintf("%s %T %s/%s", v.kind, v.on, v.on.GetNamespace(), v.on.GetName())
}

// Detector looks again and again.
type Detector struct {
	// Client answers from a cache about brands, namespaces and workloads.
	Client client.Client
	// Live lists pods, which are not cached.
	Live client.Reader
	// Admission proves that the policies are in force and unchanged.
	Admission func(context.Context) error
	Events    events.EventRecorder
	Metrics   *Metrics

	known  map[string]violation
	strays map[types.UID]bool // pods that the last look found out of hand
}

// Reconcile reports one namespace that left enforcement, or, asked about none,
// everything that is wrong now.
func (d *Detector) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if req.Name != "" {
		return reconcile.Result{}, d.left(ctx, req.Name)
	}
	found, err := d.look(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	d.report(ctx, found)
	return reconcile.Result{RequeueAfter: every}, nil
}

// left reports a namespace whose label was taken off, or that was deleted,
// while a brand lists it. codb labels it again at once; this is what remains.
func (d *Detector) left(ctx context.Context, name string) error {
	var brands v1alpha1.BrandList
	if err := d.Client.List(ctx, &brands); err != nil {
		return fmt.Errorf("list brands: %w", err)
	}
	for i := range brands.Items {
		if b := &brands.Items[i]; slices.Contains(b.Spec.Namespaces, name) {
			ns := &corev1.Namespace{}
			ns.Name = name
			d.announce(ctx, violation{NamespaceUngated, b,
				"namespace " + name + " lost the label " + v1alpha1.LabelEnforce + " or was deleted; what was made in it since was not gated"}, ns)
		}
	}
	return nil
}

// look finds everything that is wrong now.
func (d *Detector) look(ctx context.Context) ([]violation, error) {
	found, err := d.policies(ctx)
	if err != nil {
		return nil, err
	}
	var namespaces corev1.NamespaceList
	if err := d.Client.List(ctx, &namespaces); err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	here := map[string]*corev1.Namespace{}
	for i := range namespaces.Items {
		here[namespaces.Items[i].Name] = &namespaces.Items[i]
	}
	for _, step := range []func(context.Context, map[string]*corev1.Namespace) ([]violation, error){d.namespaces, d.workloads, d.pods} {
		more, err := step(ctx, here)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

func (d *Detector) policies(ctx context.Context) ([]violation, error) {
	err := d.Admission(ctx)
	var drift admission.DriftError
	switch {
	case err == nil:
		return nil, nil
	case errors.As(err, &drift):
		var found []violation
		for _, one := range drift {
			kind := PolicyChanged
			if one.Gone {
				kind = PolicyGone
			}
			found = append(found, violation{kind, one.Object, one.String() + "; nothing is released until it is as codb ships it: apply config/admission"})
		}
		return found, nil
	case errors.Is(err, admission.ErrNotInForce):
		ns := &corev1.Namespace{}
		ns.Name = admission.Namespace
		return []violation{{AdmissionNotInForce, ns, err.Error()}}, nil
	}
	return nil, err
}

// report tells people of what is new and what is over, once.
func (d *Detector) report(ctx context.Context, found []violation) {
	now := map[string]violation{}
	counts := map[string]int{}
	for _, v := range found {
		if _, twice := now[v.key()]; twice {
			continue
		}
		now[v.key()] = v
		counts[v.kind]++
		if _, old := d.known[v.key()]; !old {
			d.announce(ctx, v, nil)
		}
	}
	for key, v := range d.known {
		if _, still := now[key]; !still {
			log.FromContext(ctx).Info("posture: a violation is over", "kind", v.kind, "object", v.on.GetName(), "namespace", v.on.GetNamespace())
		}
	}
	d.known = now
	d.Metrics.standing(counts)
}

func (d *Detector) announce(ctx context.Context, v violation, related runtime.Object) {
	log.FromContext(ctx).Info("posture: a violation", "kind", v.kind, "object", v.on.GetName(), "namespace", v.on.GetNamespace(), "what", v.note)
	d.Metrics.seen(v.kind)
	note := v.note
	if len(note) > maxNote {
		note = strings.ToValidUTF8(note[:maxNote], "")
	}
	d.Events.Eventf(v.on, related, corev1.EventTypeWarning, v.kind, "Detect", "%s", note)
}

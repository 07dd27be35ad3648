package fuzz

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/consent"
	"github.com/codb-dev/codb/internal/decision"
)

// watched counts writes, has some of them fail as an apiserver does, and looks
// at each release at the moment at which it happens.
func (w *world) watched(real client.WithWatch) client.WithWatch {
	return interceptor.NewClient(real, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			w.made++
			o.SetUID(types.UID(fmt.Sprintf("made-%d", w.made)))
			o.SetCreationTimestamp(metav1.NewTime(w.clock.Now()))
			if runs(o) {
				w.Errorf("%T %s was made to run at once", o, o.GetName())
			}
			return w.write("create", o, func() error { return c.Create(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			there := o.DeepCopyObject().(client.Object)
			if c.Get(ctx, client.ObjectKeyFromObject(o), there) == nil && !there.GetDeletionTimestamp().IsZero() {
				return nil // it is on its way out: a second request changes nothing
			}
			return w.write("delete", o, func() error { return c.Delete(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			was := o.DeepCopyObject().(client.Object)
			found := c.Get(ctx, client.ObjectKeyFromObject(o), was) == nil
			err := w.write("patch", o, func() error { return c.Patch(ctx, o, p, opts...) })
			if err == nil && found && !runs(was) && runs(o) {
				w.released(was, o)
			}
			return err
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return w.write("patch status of", o, func() error { return c.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
	})
}

// write fails now and then, in the words of an apiserver, which name the object.
func (w *world) write(what string, o client.Object, do func() error) error {
	w.tries++
	done := func() error {
		err := do()
		if err == nil {
			w.writes = append(w.writes, fmt.Sprintf("%s %T %s/%s", what, o, o.GetNamespace(), o.GetName()))
		}
		return err
	}
	if w.every == 0 || w.tries%w.every != 0 {
		return done()
	}
	kind := schema.GroupResource{Group: v1alpha1.Group, Resource: fmt.Sprintf("%T", o)}
	switch w.tries / w.every % 4 {
	case 0:
		return apierrors.NewConflict(kind, o.GetName(), errDown)
	case 1:
		_ = done() // and the answer was lost
		return apierrors.NewTimeoutError("out of time with "+o.GetName(), 1)
	case 2:
		return apierrors.NewNotFound(kind, o.GetName())
	}
	return apierrors.NewForbidden(kind, o.GetName(), errDown)
}

func runs(o client.Object) bool {
	switch j := o.(type) {
	case *batchv1.Job:
		return !ptr.Deref(j.Spec.Suspend, false)
	case *batchv1.CronJob:
		return !ptr.Deref(j.Spec.Suspend, false)
	}
	return false
}

// released looks at a release with eyes of its own.
func (w *world) released(was, now client.Object) {
	w.releases++
	for _, wrong := range w.wrong(was, now) {
		w.Errorf("%T %s/%s was released: %s\nfaults: %+v", now, now.GetNamespace(), now.GetName(), wrong, w.faults)
	}
}

// wrong lists every ground for which this release must not be.
func (w *world) wrong(was, now client.Object) (wrong []string) {
	no := func(is bool, format string, args ...any) {
		if is {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	no(w.faults.admission || w.fence || w.gate || w.faults.consents, "something that it rests on was down")
	c, brand := &v1alpha1.Campaign{}, &v1alpha1.Brand{}
	if err := w.Get(w.Context(), client.ObjectKey{Namespace: now.GetNamespace(), Name: now.GetLabels()[v1alpha1.LabelCampaign]}, c); err != nil {
		return append(wrong, "no campaign: "+err.Error())
	}
	if err := w.Get(w.Context(), client.ObjectKey{Name: c.Spec.Brand}, brand); err != nil {
		return append(wrong, "no brand: "+err.Error())
	}
	no(!c.DeletionTimestamp.IsZero(), "its campaign is on its way out")
	out, ok := decision.Preflight(c, brand, w.clock.Now())
	no(!ok, "its campaign may not run: %s", out.Code)
	var known v1alpha1.CampaignPolicyList
	no(w.List(w.Context(), &known) != nil || !w.book.Knows(known.Items), "not all policies were read")

	job, isJob := now.(*batchv1.Job)
	draws := c.Spec.DrawsPermits() // and holds no list: it goes on where it was stopped, for whom it finds allowed
	no(isJob && !draws && was.GetAnnotations()[v1alpha1.AnnotationDecision] != "", "a second time")
	d := &v1alpha1.CampaignDecision{}
	if err := w.Get(w.Context(), client.ObjectKey{Namespace: c.Namespace, Name: now.GetAnnotations()[v1alpha1.AnnotationDecision]}, d); err != nil {
		no(true, "no decision: %v", err)
	} else {
		n := d.Spec.Counts
		all := d.Spec.Verdict == v1alpha1.CampaignAllowed && n != nil && n.Targeted > 0 && n.Allowed == n.Targeted
		some := d.Spec.Verdict == v1alpha1.CampaignPartlyAllowed && n != nil && n.Allowed > 0
		no(!all && (!draws || !some), "on decision %+v", d.Spec)
	}

	// Answers that were given stay good while nothing changes, engine or not.
	_, floor := whole()
	people := 0
	facts := decision.Facts(c, decision.Class(brand, c.Spec.Purpose))
	customers := (consents{w}).Customers()
	for id, o := range (consents{w}).all() {
		r, _ := customers.Get(id)
		if in, _ := r.Targeted(&c.Spec.Audience, w.clock.Now()); !in {
			continue
		}
		p := consent.For(&o.Spec, c.Spec.Brand)
		p.Bucket = consent.Bucket(c.Namespace+"/"+c.Name, id)
		answers, err := floor.Judge(w.Context(), decision.Question{Now: w.clock.Now(), Campaign: facts, Subjects: []decision.Subject{{Person: p}}})
		if draws && err == nil && len(answers[0].Reasons) > 0 {
			continue
		}
		people++
		no(err != nil || len(answers[0].Reasons) > 0, "somebody is not allowed: %v %v", err, answers)
		no(o.Spec.OptOut != nil && facts.PurposeClass != string(v1alpha1.ClassService), "somebody opted out")
		no(isJob && !draws && !w.ledger.View(c.UID, []types.UID{job.UID}).Present(id), "somebody was not written down")
	}
	no(people == 0, "for nobody")
	return wrong
}

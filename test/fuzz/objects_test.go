// Package fuzz gives the whole of codb's reconcilers worlds that nobody would
// make on purpose. It knows what must never happen, and not what should.
package fuzz

import (
	"fmt"
	"math/rand"
	"reflect"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/randfill"
	"sigs.k8s.io/randfill/bytesource"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// canary is a part of every name that belongs to a person, and of nothing else.
const canary = "7f3a9c1e"

var noon = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

// maker turns bytes into objects: something that would work, in which here and
// there a field is anything at all. The same bytes are the same objects.
type maker struct {
	*rand.Rand
	fill *randfill.Filler
	uid  int
}

func newMaker(data []byte) *maker {
	source := bytesource.New(data)
	m := &maker{Rand: rand.New(source)}
	m.fill = randfill.New().RandSource(source).NilChance(0.5).NumElements(0, 2).MaxDepth(12).Funcs(
		func(s *string, c randfill.Continue) { *s = m.word() },
		func(t *metav1.Time, c randfill.Continue) { *t = m.instant() },
		func(t *metav1.MicroTime, c randfill.Continue) { *t = metav1.NewMicroTime(m.instant().Time) },
		func(r *runtime.RawExtension, c randfill.Continue) { r.Raw = []byte(pick(m, raws)) },
		func(*runtime.Object, randfill.Continue) {},
		func(q *resource.Quantity, c randfill.Continue) {
			*q = resource.MustParse(pick(m, []string{"0", "1", "64Mi"}))
		},
		func(i *intstr.IntOrString, c randfill.Continue) { *i = intstr.FromInt32(c.Int31()) },
		func(f *metav1.FieldsV1, c randfill.Continue) { *f = *metav1.NewFieldsV1(`{}`) },
		func(n *int32, c randfill.Continue) { *n = pick(m, []int32{0, 1, 2, 10, 100, -1, 1 << 30}) },
		func(n *int64, c randfill.Continue) { *n = pick(m, []int64{0, 1, 2, 60, -1, 1 << 40}) },
		among[v1alpha1.Purpose](m, "Marketing", "Billing"),
		among(m, v1alpha1.ClassMarketing, v1alpha1.ClassService),
		among(m, v1alpha1.RecipientsPermits, v1alpha1.RecipientsOwnList),
		among(m, v1alpha1.ChannelEmail, v1alpha1.ChannelSMS),
		among[v1alpha1.Topic](m, "Garden", "Savings"),
		among(m, v1alpha1.DepthBasic, v1alpha1.DepthProfiling),
		among(m, v1alpha1.ConsentGiven, v1alpha1.ConsentWithdrawn, v1alpha1.ConsentExpired, v1alpha1.ConsentRefused),
		among(m, v1alpha1.ImpliedConsent, v1alpha1.ExpressedConsent),
		among(m, v1alpha1.BasisConsent, v1alpha1.BasisContract),
		among[v1alpha1.TimeZone](m, "Europe/Berlin", "America/New_York", "Asia/Kathmandu"),
		among[v1alpha1.Weekday](m, "Mon", "Sun"),
		among[v1alpha1.Date](m, "2026-06-15", "2020-02-29", "2030-01-01"),
		among(m, v1alpha1.WindowRolling, v1alpha1.WindowCalendarDay),
		among(m, v1alpha1.ModeEnforce, v1alpha1.ModeAudit),
		among(m, v1alpha1.VerdictAllow, v1alpha1.VerdictHold, v1alpha1.VerdictDeny),
		among(m, v1alpha1.CampaignAllowed, v1alpha1.CampaignHeld, v1alpha1.CampaignBlocked),
		among(m, v1alpha1.WorkloadRunning, v1alpha1.WorkloadSuspended, v1alpha1.WorkloadComplete, v1alpha1.WorkloadStopping),
		among(m, batchv1.JobComplete, batchv1.JobFailed, batchv1.JobSuspended, batchv1.JobSuccessCriteriaMet),
		among(m, corev1.ConditionTrue, corev1.ConditionFalse),
		among(m, metav1.ConditionTrue, metav1.ConditionFalse),
		among(m, corev1.PodRunning, corev1.PodSucceeded),
		among[types.UID](m, "uid-1", "uid-2", "uid-3", "elsewhere"),
	)
	return m
}

func pick[T any](m *maker, list []T) T { return list[m.Intn(len(list))] }

func among[T ~string](m *maker, values ...T) func(*T, randfill.Continue) {
	return func(v *T, _ randfill.Continue) {
		if *v = pick(m, values); m.Intn(16) == 0 {
			*v = T(m.word()) // what a schema refuses, an older one may have let in
		}
	}
}

var (
	words = []string{
		"", "acme", "globex", "spring", "autumn", "acme-marketing", "globex-marketing", "Marketing", "2", "P1D", "PT0S", "21:00", "08:00",
		"24:00", "25:61", "true", "Job", "CronJob", "batch/v1", "Suspend", "Finish", "Allow", "Forbid", "Everyone is 10% off\x1b[2J", "\xff",
		v1alpha1.LabelCampaign, v1alpha1.LabelEnforce, v1alpha1.AnnotationDecision, v1alpha1.AnnotationRun, v1alpha1.AnnotationStopped,
		"kueue.x-k8s.io/queue-name", "batch.kubernetes.io/controller-uid", batchv1.JobControllerName, "uid-1", "spring-1", "frequency-cap",
		"quiet-hours",
	}
	raws = []string{`{}`, `{"max": 1}`, `{"brand": "acme"}`, `{"optOut": {"since": "2026-01-01T00:00:00Z"}}`}
	rego = []string{
		"package codb.policy\nimport rego.v2\ndeny contains {\"code\": \"No\", \"message\": \"no\"} if input.customer.birthYear > 2010\n",
		"package codb.policy\nimport rego.v2\nallow if true\n", "package", "",
	}
	spans = []time.Duration{0, time.Second, -time.Second, time.Hour, -time.Hour, 24 * time.Hour, -40 * 24 * time.Hour, 2 * 365 * 24 * time.Hour, -9 * 365 * 24 * time.Hour}
)

func (m *maker) word() string { return pick(m, words) }

func (m *maker) instant() metav1.Time {
	if m.Intn(24) == 0 {
		return metav1.Time{}
	}
	return metav1.NewTime(noon.Add(pick(m, spans)))
}

// stir replaces about one in so many fields of what v points to by anything.
func (m *maker) stir(v reflect.Value, oneIn int) {
	for i := range v.NumField() {
		f := v.Field(i)
		switch {
		case !f.CanSet() || f.Kind() == reflect.Interface || v.Type().Field(i).Name == "ObjectMeta" || v.Type().Field(i).Name == "TypeMeta":
		case m.Intn(oneIn) == 0:
			m.fill.Fill(f.Addr().Interface())
		case f.Kind() == reflect.Pointer && !f.IsNil() && f.Elem().Kind() == reflect.Struct:
			m.stir(f.Elem(), oneIn)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			for j := range f.Len() {
				m.stir(f.Index(j), oneIn)
			}
		case f.Kind() == reflect.Struct && f.NumField() > 0:
			m.stir(f, oneIn)
		}
	}
}

// object finishes one: its identity, and what is odd about it.
func object[T client.Object](m *maker, o T, namespace, name string, oneIn int) T {
	m.stir(reflect.ValueOf(o).Elem(), oneIn)
	m.uid++
	o.SetNamespace(namespace)
	o.SetName(name)
	o.SetUID(types.UID(fmt.Sprintf("uid-%d", m.uid)))
	o.SetGeneration(int64(1 + m.Intn(3)))
	o.SetCreationTimestamp(m.instant())
	if m.Intn(20) == 0 {
		o.SetDeletionTimestamp(ptr.To(metav1.NewTime(noon)))
		o.SetFinalizers([]string{"example.com/wait"})
	}
	return o
}

var (
	namespaces = []string{"acme-marketing", "globex-marketing"}
	brands     = []string{"acme", "globex"}
	campaigns  = []string{"spring", "autumn"}
)

func (m *maker) brand(name string) *v1alpha1.Brand {
	return object(m, &v1alpha1.Brand{Spec: v1alpha1.BrandSpec{
		DisplayName: name, Namespaces: []string{name + "-marketing"}, Agreements: []v1alpha1.Depth{v1alpha1.DepthProfiling},
		Purposes: []v1alpha1.BrandPurpose{{Name: "Marketing", Class: v1alpha1.ClassMarketing, Notice: "Offers.", NoticeVersion: "1"}},
	}}, "", name, 32)
}

func (m *maker) namespace(name string) *corev1.Namespace {
	ns := object(m, &corev1.Namespace{}, "", name, 40)
	if m.Intn(4) > 0 {
		ns.Labels = map[string]string{v1alpha1.LabelEnforce: v1alpha1.EnforceTrue}
	}
	return ns
}

func (m *maker) campaign(i int) *v1alpha1.Campaign {
	c := &v1alpha1.Campaign{Spec: v1alpha1.CampaignSpec{
		Brand: brands[i], Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Owner: "garden-team",
		Audience: v1alpha1.Audience{Everyone: &v1alpha1.Everyone{}},
	}}
	if m.Intn(4) == 0 {
		c.Spec.Recipients = v1alpha1.RecipientsPermits
	}
	switch m.Intn(3) {
	case 0:
		c.Spec.Workload = &v1alpha1.Workload{Job: &v1alpha1.JobTemplate{Image: "sender", Command: []string{"/sender"}}}
	case 1:
		c.Spec.Workload = &v1alpha1.Workload{CronJob: &v1alpha1.JobTemplate{Image: "sender", Command: []string{"/sender"}}}
		c.Spec.Schedule = &v1alpha1.Schedule{Cron: "0 9 * * 1"}
	}
	c = object(m, c, namespaces[i], campaigns[i], 64)
	if m.Intn(2) == 0 {
		c.Status = v1alpha1.CampaignStatus{}
	}
	return c
}

func (m *maker) policy(name string) *v1alpha1.CampaignPolicy {
	p := &v1alpha1.CampaignPolicy{Spec: v1alpha1.CampaignPolicySpec{Rules: []v1alpha1.RuleUse{{Name: "frequency-cap"}}}}
	if m.Intn(8) == 0 {
		p.Spec.Rego = pick(m, rego)
	}
	return object(m, p, "", name, 64)
}

func principal(i int) string { return fmt.Sprintf("c-%s-%d", canary, i) }

func (m *maker) consent(i int) *v1alpha1.CustomerConsent {
	c := &v1alpha1.CustomerConsent{}
	for _, b := range brands {
		c.Spec.Relationships = append(c.Spec.Relationships, v1alpha1.Relationship{Brand: b, Depth: v1alpha1.DepthProfiling, Grants: []v1alpha1.Grant{{
			Purpose: "Marketing", Channel: v1alpha1.ChannelEmail, Status: v1alpha1.ConsentGiven,
			CaptureDate: metav1.NewTime(noon.Add(-24 * time.Hour)), CaptureSource: "Web",
		}}})
	}
	oneIn := 24
	if m.Intn(4) > 0 {
		oneIn = 1 << 20 // or with three people hardly anything would ever be released
	}
	return object(m, c, v1alpha1.CustomersNamespace, principal(i), oneIn)
}

func (m *maker) review(i int) *v1alpha1.ConsentReview {
	r := &v1alpha1.ConsentReview{Spec: v1alpha1.ConsentReviewSpec{
		Customer: principal(m.Intn(4)), Campaign: v1alpha1.NamespacedReference{Namespace: namespaces[i], Name: campaigns[i]},
	}}
	r = object(m, r, v1alpha1.CustomersNamespace, "why-"+principal(i), 12)
	if m.Intn(4) > 0 {
		r.Status, r.CreationTimestamp = v1alpha1.ConsentReviewStatus{}, metav1.NewTime(noon)
	}
	return r
}

// marks are labels or annotations that codb heeds, with anything in them.
func (m *maker) marks(keys ...string) map[string]string {
	out := map[string]string{}
	for _, k := range keys {
		if m.Intn(6) == 0 {
			out[k] = m.word()
		}
	}
	return out
}

// owned says, mostly wrongly, to whom a workload belongs.
func (m *maker) owned(o client.Object, campaign *v1alpha1.Campaign, crons []*batchv1.CronJob) {
	labels := m.marks("kueue.x-k8s.io/queue-name")
	if m.Intn(8) > 0 {
		labels[v1alpha1.LabelCampaign] = campaign.Name
	}
	o.SetLabels(labels)
	o.SetAnnotations(m.marks(v1alpha1.AnnotationDecision, v1alpha1.AnnotationRun, v1alpha1.AnnotationStopped, v1alpha1.AnnotationConsentRevision))
	switch owner := (metav1.OwnerReference{Controller: ptr.To(true)}); m.Intn(4) {
	case 0:
		m.fill.Fill(&owner)
		o.SetOwnerReferences([]metav1.OwnerReference{owner})
	case 1:
		owner.APIVersion, owner.Kind, owner.Name, owner.UID = v1alpha1.SchemeGroupVersion.String(), "Campaign", campaign.Name, campaign.UID
		o.SetOwnerReferences([]metav1.OwnerReference{owner})
	case 2:
		if len(crons) > 0 {
			owner.APIVersion, owner.Kind, owner.Name, owner.UID = "batch/v1", "CronJob", crons[0].Name, crons[0].UID
			o.SetOwnerReferences([]metav1.OwnerReference{owner})
		}
	}
}

// workloads are Jobs, CronJobs and pods near a campaign.
func (m *maker) workloads(c *v1alpha1.Campaign) (out []client.Object) {
	var crons []*batchv1.CronJob
	for i := range m.Intn(2) {
		j := &batchv1.CronJob{Spec: batchv1.CronJobSpec{Suspend: ptr.To(m.Intn(4) > 0), Schedule: "* * * * *"}}
		j.Spec.JobTemplate.Labels = map[string]string{v1alpha1.LabelCampaign: c.Name}
		j = object(m, j, c.Namespace, []string{c.Name, "nightly"}[(i+m.Intn(2))%2], 24)
		m.owned(j, c, nil)
		crons, out = append(crons, j), append(out, j)
	}
	for i := range m.Intn(3) {
		j := object(m, &batchv1.Job{Spec: batchv1.JobSpec{Suspend: ptr.To(m.Intn(4) > 0)}}, c.Namespace, fmt.Sprintf("%s-%d", c.Name, i), 24)
		if m.Intn(4) == 0 && i == 0 {
			j.Name = c.Name
		}
		if m.Intn(2) == 0 {
			j.Status = batchv1.JobStatus{}
		}
		m.owned(j, c, crons)
		p := object(m, &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning}}, c.Namespace, j.Name+"-x", 64)
		p.Labels = map[string]string{batchv1.ControllerUidLabel: string(j.UID)}
		out = append(out, j, p)
	}
	d := object(m, &v1alpha1.CampaignDecision{Spec: v1alpha1.CampaignDecisionSpec{Campaign: v1alpha1.CampaignReference{Name: c.Name}}}, c.Namespace, c.Name+"-1", 8)
	rev := object(m, &appsv1.ControllerRevision{}, v1alpha1.SystemNamespace, c.Name+"-rev", 4)
	return append(out, d, rev)
}

// world is everything that the apiserver has.
func (m *maker) world() (out []client.Object) {
	for i := range brands {
		c := m.campaign(i)
		out = append(out, m.brand(brands[i]), m.namespace(namespaces[i]), c, m.review(i))
		if m.Intn(2) == 0 {
			out = append(out, m.workloads(c)...)
		}
	}
	for i := range 1 + m.Intn(2) {
		out = append(out, m.policy(fmt.Sprintf("baseline-%d", i)))
	}
	for i := range pick(m, []int{0, 1, 1, 2, 2, 3}) {
		out = append(out, m.consent(i))
	}
	return out
}

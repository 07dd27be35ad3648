package door_test

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// watcher is a watch of a test, which reads as "ADDED watched-1 de".
type watcher struct {
	*testing.T
	watch.Interface
}

func watches(t *testing.T, raw metav1.ListOptions, more ...client.ListOption) *watcher {
	t.Helper()
	c := as(t, "admin", "system:masters")
	o := &client.ListOptions{Namespace: v1alpha1.CustomersNamespace, Raw: &raw}
	w, err := c.Watch(t.Context(), &v1alpha1.CustomerConsentList{}, append([]client.ListOption{o}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return &watcher{t, w}
}

// next is what comes, within a while.
func (w *watcher) next() (string, watch.Event) {
	w.Helper()
	select {
	case e := <-w.ResultChan():
		c, ok := e.Object.(*v1alpha1.CustomerConsent)
		if !ok {
			return fmt.Sprint(e.Type, " ", apierrors.FromObject(e.Object)), e
		}
		return strings.TrimSpace(fmt.Sprint(e.Type, " ", c.Name, " ", c.Spec.Language)), e
	case <-time.After(30 * time.Second):
		w.Fatal("nothing came")
		return "", watch.Event{}
	}
}

func (w *watcher) tells(want ...string) {
	w.Helper()
	var got []string
	for range want {
		what, _ := w.next()
		got = append(got, what)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("the watch (-want +got):\n%s", diff)
	}
}

func speaks(t *testing.T, c *v1alpha1.CustomerConsent, language v1alpha1.Language, tier string) {
	t.Helper()
	c.Spec.Language, c.Labels = language, map[string]string{"watched": "yes", "tier": tier}
	if err := as(t, "admin", "system:masters").Update(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func erase(t *testing.T, c *v1alpha1.CustomerConsent) {
	t.Helper()
	if err := as(t, "admin", "system:masters").Delete(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// TestAWatchTellsWhatChanges follows three watchers from a list on: of
// everybody, of some, and of one.
func TestAWatchTellsWhatChanges(t *testing.T) {
	one, two := create(t, "watched-1", map[string]string{"watched": "yes", "tier": "gold"}), create(t, "watched-2", map[string]string{"watched": "yes", "tier": "gold"})
	list := &v1alpha1.CustomerConsentList{}
	if err := as(t, "admin", "system:masters").List(t.Context(), list, client.InNamespace(v1alpha1.CustomersNamespace), client.Limit(1)); err != nil {
		t.Fatal(err)
	}
	from := metav1.ListOptions{ResourceVersion: list.ResourceVersion}
	all := watches(t, from)
	gold := watches(t, from, client.MatchingLabels{"tier": "gold"})
	mine := watches(t, from, client.MatchingFields{"metadata.name": "watched-2"})
	elsewhere := watches(t, from, client.InNamespace("default"))

	speaks(t, one, "de", "gold")
	speaks(t, one, "de", "none")
	speaks(t, one, "fr", "none")
	speaks(t, one, "es", "gold")
	erase(t, two)
	three := create(t, "watched-2", nil)
	all.tells("MODIFIED watched-1 de", "MODIFIED watched-1 de", "MODIFIED watched-1 fr", "MODIFIED watched-1 es", "DELETED watched-2", "ADDED watched-2")
	gold.tells("MODIFIED watched-1 de", "DELETED watched-1 de", "ADDED watched-1 es", "DELETED watched-2")
	mine.tells("DELETED watched-2", "ADDED watched-2")
	select {
	case e := <-elsewhere.ResultChan():
		t.Errorf("nobody is in another namespace: %v", e)
	default:
	}

	// Who comes back goes on where they were.
	what, last := watches(t, metav1.ListOptions{ResourceVersion: one.ResourceVersion}).next()
	if what != "DELETED watched-2" || last.Object.(*v1alpha1.CustomerConsent).UID != "" {
		t.Errorf("of who was erased: %s, %+v", what, last.Object)
	}
	if got := three.ResourceVersion; got != revision(t, "watched-2") {
		t.Errorf("revision %s", got)
	}
}

// TestAWatchWithoutARevisionTellsEverybodyFirst, as informers ask for it that
// list by watching.
func TestAWatchWithoutARevisionTellsEverybodyFirst(t *testing.T) {
	create(t, "i-1", map[string]string{"initial": "yes"})
	create(t, "i-2", map[string]string{"initial": "yes"})
	w := watches(t, metav1.ListOptions{
		AllowWatchBookmarks: true, SendInitialEvents: ptr.To(true), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	}, client.MatchingLabels{"initial": "yes"})
	w.tells("ADDED i-1", "ADDED i-2")
	what, e := w.next()
	mark, _ := e.Object.(*v1alpha1.CustomerConsent)
	if what != "BOOKMARK" || mark.Annotations[metav1.InitialEventsAnnotationKey] != "true" {
		t.Fatalf("%s %+v, want the mark behind everybody", what, e.Object)
	}
	create(t, "i-3", map[string]string{"initial": "yes"})
	w.tells("ADDED i-3")
	later := watches(t, metav1.ListOptions{ResourceVersion: mark.ResourceVersion}, client.MatchingLabels{"initial": "yes"})
	later.tells("ADDED i-3")
	watches(t, metav1.ListOptions{ResourceVersion: "0"}, client.MatchingFields{"metadata.name": "i-2"}).tells("ADDED i-2")
}

func TestWhoIsTooFarBehindListsAnew(t *testing.T) {
	c := as(t, "admin", "system:masters")
	head, err := strconv.Atoi(create(t, "t-1", nil).ResourceVersion)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]func(error) bool{
		strconv.Itoa(head + 1000): apierrors.IsResourceExpired, // what was restored has not come so far
		strconv.Itoa(head - 1e6):  apierrors.IsResourceExpired,
		"yesterday":               apierrors.IsBadRequest,
	} {
		_, err := c.Watch(t.Context(), &v1alpha1.CustomerConsentList{}, &client.ListOptions{
			Namespace: v1alpha1.CustomersNamespace, Raw: &metav1.ListOptions{ResourceVersion: at},
		})
		if !want(err) {
			t.Errorf("from %s: %v", at, err)
		}
	}
}

// TestKubectlWatches is what a person does at a terminal.
func TestKubectlWatches(t *testing.T) {
	c := create(t, "k-1", nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	raw, err := env.Kubeconfig("admin", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, env.Assets()+"/kubectl", "--kubeconfig", write(t, string(raw)), "-n", v1alpha1.CustomersNamespace, "get", "cc", "k-1", "-w")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for _, want := range []string{"NAME", "Given", "OptedOut"} {
		if !lines.Scan() || !strings.Contains(lines.Text(), want) {
			t.Fatalf("kubectl says %q, want %s in it", lines.Text(), want)
		}
		if want == "Given" {
			c.Spec.OptOut = &v1alpha1.OptOut{Since: metav1.Now().Rfc3339Copy()}
			if err := as(t, "admin", "system:masters").Update(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	_ = cmd.Wait() // it was told to end
}

package consentreview

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestAnErrorNamesNoQuestion(t *testing.T) {
	for name, err := range map[string]error{
		"conflict":    apierrors.NewConflict(schema.GroupResource{Resource: "consentreviews"}, "why-c-7f3a", errors.New("again")),
		"unreachable": &url.Error{Op: "Patch", URL: "https://h/consentreviews/why-c-7f3a", Err: errors.New("refused")},
	} {
		if got := nameless("write an answer", err); got == nil || strings.Contains(got.Error(), "c-7f3a") || len(got.Error()) < 20 {
			t.Errorf("%s: %v", name, got)
		}
	}
	if err := nameless("write an answer", nil); err != nil {
		t.Error(err)
	}
}

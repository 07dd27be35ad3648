// Package admission_test tries on a real apiserver what codb's admission
// policies refuse, with codb itself not running.
package admission_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/codb-dev/codb/config"
	"github.com/codb-dev/codb/test/apiserver"
)

var env *apiserver.Env

func TestMain(m *testing.M) {
	code := apiserver.Run(m, apiserver.Options{Admission: true, Controllers: true, Values: config.Values{Kueue: kueueUser}}, func(e *apiserver.Env) { env = e })
	if everything := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == ""; everything && code == 0 {
		if idle := neverRefused(); len(idle) > 0 {
			fmt.Printf("FAIL: no trial was refused by these rules:\n%s\n", strings.Join(idle, "\n"))
			code = 1
		}
	}
	os.Exit(code)
}

// literal is a piece of a message that tells it from others.
var literal = regexp.MustCompile(`[a-zA-Z][a-zA-Z ,]{19,}`)

// neverRefused lists the rules whose message no trial has met.
func neverRefused() []string {
	objects, err := config.Objects(config.Values{}, config.Admission)
	if err != nil {
		return []string{err.Error()}
	}
	said := strings.Join(refusals, "\n")
	var idle []string
	for _, u := range objects {
		var p admissionregistrationv1.ValidatingAdmissionPolicy
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &p); err != nil {
			return []string{err.Error()}
		}
		for _, v := range p.Spec.Validations {
			message := v.Message + v.MessageExpression
			if met := literal.FindString(message); met == "" || !strings.Contains(said, met) {
				idle = append(idle, p.Name+": "+message)
			}
		}
	}
	return idle
}

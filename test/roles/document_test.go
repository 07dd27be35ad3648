package roles_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codb-dev/codb/api/v1alpha1"
)

const document = "../../docs/roles.md"

const intro = `# Who may do what

*"I install codb for several teams. Whom do I give which role?"*

codb brings four ClusterRoles for people, and two narrow ones. Each of the four collects every ClusterRole that carries
its label ` + "`consent.codb.dev/aggregate-to-<role>: \"true\"`" + `, so that an installation can widen it without
editing it. Nobody is bound to any of them until the platform team does it:

| role | bind it | for |
|---|---|---|
| ` + "`codb-platform-admin`" + ` | cluster-wide | those who declare brands and policies and say which namespaces are gated |
| ` + "`codb-marketer`" + `, with ` + "`codb-reader`" + ` cluster-wide | in the team's namespaces | those who run campaigns |
| ` + "`codb-auditor`" + ` | cluster-wide | those who ask why |
| ` + "`codb-customer-service`" + ` | in ` + "`codb-customers`" + ` | those who write down what customers say |
| ` + "`codb-eraser`" + ` | in ` + "`codb-customers`" + ` | those few who may forget a customer |
| ` + "`codb-importer`" + ` | in ` + "`codb-customers`" + ` | a process that brings in consents, of any age, and past contacts |

` + "```" + `
kubectl create rolebinding marketers --clusterrole=codb-marketer --group=acme-marketing -n acme-marketing
kubectl create clusterrolebinding marketers-read --clusterrole=codb-reader --group=acme-marketing
` + "```" + `

Customers' own identities have usernames ` + "`codb:customer:<id>`" + ` and the group ` + "`codb:customers`" + `.

`

const legend = `
read: get, list, watch; make: create; change: update, patch. A dash means no verb at all. ` + "`own`" + ` is a namespace that the
marketer is bound in. test/roles asks a real apiserver about every cell, and writes this page.

## What stands behind the table

- **Nobody but codb releases.** No role may suspend or release a Job; the admission policies would refuse it all the
  same, from a cluster administrator too.
- **Auditors don't read consents.** What a customer said in full is personal data that an audit of campaigns does not
  need. An auditor sees counts and reasons in decisions, and asks about one person with a ConsentReview.
- **Customers write their own consent and no other**, and read none through this API: RBAC can't keep a reader to one
  object whose name it does not know. The portal reads for them.
- **` + "`report`" + ` on brands** lets a shop or a CRM tell the gate [what customers did](events.md), brand by brand. No role has it:
  make one for each system.
- **` + "`erase`" + ` on customerconsents** is asked for besides ` + "`delete`" + `: deleting a consent forgets a refusal.
- **` + "`import`" + ` on customerconsents** is asked for when a yes is dated back by more than 30 days: what looks old is believed
  where consents run out or take their time to count. Only ` + "`codb-importer`" + ` has it, and cluster administrators.
- **` + "`exempt`" + ` on campaignpolicies** is asked for when a namespace leaves enforcement or is deleted.
- **Whoever administers ` + "`codb-system`" + ` is codb**: Kubernetes' own roles ` + "`edit`" + ` and ` + "`admin`" + ` there may
  take the tokens of its accounts. Give them to the platform team alone.
`

// written is the page.
func written() string {
	var b strings.Builder
	b.WriteString(intro)
	b.WriteString("| what | where |")
	for _, r := range roles {
		name := r.name
		if strings.HasPrefix(name, v1alpha1.CustomerUsernamePrefix) {
			name = "customer"
		}
		fmt.Fprintf(&b, " %s |", name)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(roles)) + "\n")
	for _, row := range table {
		where := map[string]string{"": "cluster", own: "own", others: "elsewhere"}[row.ns]
		if where == "" {
			where = row.ns
		}
		what := row.resource
		if row.group != "" && row.group != v1alpha1.Group {
			what += "." + row.group
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", what, where, strings.Join(row.cells[:], " | "))
	}
	b.WriteString(legend)
	return b.String()
}

func TestDocument(t *testing.T) {
	if *update {
		if err := os.WriteFile(document, []byte(written()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(written(), string(raw)); diff != "" {
		t.Errorf("docs/roles.md is not up to date, run go test ./test/roles -update (-want +got):\n%s", diff)
	}
}

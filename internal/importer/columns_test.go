package importer

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/codb-dev/codb/internal/audience"
	"github.com/codb-dev/codb/internal/contacts"
)

// The bank's customers with all that is made up for the demo, and their past, take
// no more room in memory than is promised.
func TestTheBankTakesLittleRoom(t *testing.T) {
	m, table, past := mapper("demo"), audience.NewTable(), contacts.NewProjection(contacts.LookBack)
	rows := dataset(t)
	page := contacts.Page{Ledger: "l"}
	for _, r := range rows {
		_, records := m.Map(r)
		page.Records = append(page.Records, records...)
	}
	for i := range page.Records {
		page.Records[i].Sequence = uint64(i + 1)
	}
	page.Sequence = uint64(len(page.Records))
	if err := past.Apply(page); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		cc, _ := m.Map(r)
		cc.UID, cc.Generation = uid(cc.Name), 1
		table.Put(cc.Name, &cc, time.Time{})
	}
	table.Follow(past.View(m.AsOf))
	each := float64(table.Bytes()) / float64(len(rows))
	t.Logf("%.0f bytes a customer", each)
	if each > 150 {
		t.Errorf("%.0f bytes a customer in columns and index, at most 150 are promised", each)
	}
}

// uid looks like those of the apiserver.
func uid(name string) types.UID {
	h := sha256.Sum256([]byte(name))
	return types.UID(fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16]))
}

package gate

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// newID of a permit or a note is unique, and greater than those of earlier
// milliseconds: a ledger finds records by such names, and what is new at the same
// time lies together there, so that a commit changes few of its pages. It is no
// secret: a permit is good only for the pod that drew it.
func newID(now time.Time) string {
	at := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli())<<14) // 50 bits, ten letters
	return base32.HexEncoding.EncodeToString(at)[:10] + rand.Text()[:16]
}

// newKey of a record: new each time, so that two desks that write at once meet in
// the customer's records and not in a key.
func newKey(of string) string { return of + "/" + rand.Text()[:16] }

package ledger

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
)

// A record on disk is its layout's version, the fields in a fixed order and a
// checksum over the sequence and all before it, so that neither a flipped bit
// nor a record in another's place is read as the truth.
const recordVersion = 2

// firstVersion lacks the fields of refusals and permits. What has none of them
// is still written so: the same record stays the same bytes, under its key.
const firstVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode writes all of a record but its sequence and the checksum.
func encode(r *Record) []byte {
	b := make([]byte, 0, 192)
	version := byte(recordVersion)
	if r.Until.IsZero() && len(r.Reasons) == 0 && r.Pod == "" && r.Detail == "" {
		version = firstVersion
	}
	b = append(b, version)
	b = binary.BigEndian.AppendUint64(b, uint64(r.At.UnixNano()))
	b = binary.AppendVarint(b, r.Campaign.Generation)
	for _, s := range []string{
		r.Key, r.Principal, r.Brand, r.Purpose, string(r.Class), string(r.Channel), r.Topic, string(r.Event),
		r.Campaign.Namespace, r.Campaign.Name, r.Campaign.UID, r.Campaign.Job,
		r.Permit, string(r.State), r.PolicyDigest, r.ConsentRevision,
	} {
		b = appendString(b, s)
	}
	if version == firstVersion {
		return b
	}
	until := int64(0)
	if !r.Until.IsZero() {
		until = r.Until.UnixNano()
	}
	b = binary.BigEndian.AppendUint64(b, uint64(until))
	b = binary.AppendVarint(b, int64(len(r.Reasons)))
	for _, s := range append(slices.Clone(r.Reasons), r.Pod, r.Detail) {
		b = appendString(b, s)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// seal adds the checksum to an encoded record.
func seal(encoded []byte, sequence []byte) []byte {
	sum := crc32.Update(crc32.Checksum(sequence, castagnoli), castagnoli, encoded)
	return binary.BigEndian.AppendUint32(encoded, sum)
}

// unseal checks a stored record and returns it as encode made it.
func unseal(stored, sequence []byte) ([]byte, error) {
	if len(stored) < 4 || len(sequence) != 8 {
		return nil, fmt.Errorf("%w: a record is too short", ErrCorrupt)
	}
	encoded, sum := stored[:len(stored)-4], binary.BigEndian.Uint32(stored[len(stored)-4:])
	if crc32.Update(crc32.Checksum(sequence, castagnoli), castagnoli, encoded) != sum {
		return nil, fmt.Errorf("%w: the checksum of record %d does not match", ErrCorrupt, binary.BigEndian.Uint64(sequence))
	}
	return encoded, nil
}

// decode reads what seal made. It copies: stored may go away.
func decode(stored, sequence []byte) (Record, error) {
	encoded, err := unseal(stored, sequence)
	if err != nil {
		return Record{}, err
	}
	n := binary.BigEndian.Uint64(sequence)
	if len(encoded) == 0 || encoded[0] < firstVersion || encoded[0] > recordVersion {
		return Record{}, fmt.Errorf("record %d: %w", n, ErrFormat)
	}
	d := decoder{text: string(encoded[1:])}
	r := Record{
		Sequence: n,
		At:       d.time(),
		Campaign: contacts.Campaign{Generation: d.varint()},
	}
	r.Key, r.Principal, r.Brand, r.Purpose = d.string(), d.string(), d.string(), d.string()
	r.Class, r.Channel = v1alpha1.PurposeClass(d.string()), v1alpha1.Channel(d.string())
	r.Topic, r.Event = d.string(), contacts.Event(d.string())
	r.Campaign.Namespace, r.Campaign.Name, r.Campaign.UID, r.Campaign.Job = d.string(), d.string(), d.string(), d.string()
	r.Permit, r.State = d.string(), contacts.State(d.string())
	r.PolicyDigest, r.ConsentRevision = d.string(), d.string()
	if encoded[0] > firstVersion {
		d.second(&r)
	}
	if d.bad || d.text != "" {
		return Record{}, fmt.Errorf("%w: record %d can't be read", ErrCorrupt, n)
	}
	return r, nil
}

// second reads what the second version added.
func (d *decoder) second(r *Record) {
	if t := d.time(); t.UnixNano() != 0 {
		r.Until = t
	}
	for n := d.varint(); n > 0 && !d.bad; n-- {
		r.Reasons = append(r.Reasons, d.string())
	}
	r.Pod, r.Detail = d.string(), d.string()
}

// decoder reads from the front of text; after an error everything is zero.
type decoder struct {
	text string
	bad  bool
}

func (d *decoder) take(n uint64) string {
	if d.bad || n > uint64(len(d.text)) {
		d.bad = true
		return ""
	}
	out := d.text[:n]
	d.text = d.text[n:]
	return out
}

func (d *decoder) time() time.Time {
	b := d.take(8)
	if d.bad {
		return time.Time{}
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64([]byte(b)))).UTC()
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint([]byte(d.text[:min(len(d.text), binary.MaxVarintLen64)]))
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.take(uint64(n))
	return v
}

func (d *decoder) string() string {
	n, size := binary.Uvarint([]byte(d.text[:min(len(d.text), binary.MaxVarintLen64)]))
	if size <= 0 {
		d.bad = true
		return ""
	}
	d.take(uint64(size))
	return d.take(n)
}

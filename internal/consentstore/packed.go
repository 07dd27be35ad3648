package consentstore

import (
	"encoding/binary"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// packed is what decides of a consent, in a fiftieth of the memory that the
// object takes. Equal answers have equal bytes. Whoever reads it needs the words
// that it was packed with.
type packed string

// answer is what is packed of a consent. What is left out changes with writes
// that change nobody's answer, or is only looked at by who writes.
type answer struct {
	Generation int64
	Leaving    *metav1.Time
	Labels     map[string]string
	Spec       v1alpha1.CustomerConsentSpec
}

// words are texts that many consents have in common. They are only ever added.
type words struct {
	numbers map[string]uint64
	texts   []string
}

// A word is of some length at most, and there are so many: what is everybody's
// own stays where it is.
const (
	longest   = 64
	wordsKept = 1 << 16
)

var instant = reflect.TypeFor[metav1.Time]()

// pack packs a consent. Its name is kept elsewhere.
func (w *words) pack(c *v1alpha1.CustomerConsent) packed {
	b := make([]byte, 0, 512)
	if id, err := uuid.Parse(string(c.UID)); err == nil && id.String() == string(c.UID) {
		b = append(append(b, 1), id[:]...)
	} else {
		b = own(append(b, 0), string(c.UID))
	}
	a := answer{c.Generation, c.DeletionTimestamp, c.Labels, c.Spec}
	return packed(w.put(b, reflect.ValueOf(&a).Elem()))
}

func own(b []byte, s string) []byte { return append(binary.AppendUvarint(b, uint64(len(s))), s...) }

// put appends a value. Of structs only the fields that are not zero are there.
func (w *words) put(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.String:
		return w.text(b, v.String())
	case reflect.Int32, reflect.Int64:
		return binary.AppendVarint(b, v.Int())
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, 0)
		}
		return w.put(append(b, 1), v.Elem())
	case reflect.Slice:
		b = binary.AppendUvarint(b, uint64(v.Len()))
		for i := range v.Len() {
			b = w.put(b, v.Index(i))
		}
		return b
	case reflect.Map: // labels
		m, _ := v.Interface().(map[string]string)
		b = binary.AppendUvarint(b, uint64(len(m)))
		for _, k := range slices.Sorted(maps.Keys(m)) {
			b = w.text(w.text(b, k), m[k])
		}
		return b
	}
	if v.Type() == instant {
		t, _ := v.Addr().Interface().(*metav1.Time)
		return binary.AppendUvarint(binary.AppendVarint(b, t.Unix()), uint64(t.Nanosecond()))
	}
	fields := 0
	for i := range v.NumField() {
		if !v.Field(i).IsZero() {
			fields |= 1 << i
		}
	}
	b = binary.AppendUvarint(b, uint64(fields))
	for i := range v.NumField() {
		if fields&(1<<i) != 0 {
			b = w.put(b, v.Field(i))
		}
	}
	return b
}

// text appends the number of a word, or 0 and the text itself.
func (w *words) text(b []byte, s string) []byte {
	n, ok := w.numbers[s]
	if !ok {
		if len(s) > longest || len(w.texts) == wordsKept {
			return own(append(b, 0), s)
		}
		s = strings.Clone(s)
		w.texts = append(w.texts, s)
		n = uint64(len(w.texts))
		w.numbers[s] = n
	}
	return binary.AppendUvarint(b, n)
}

// unpack makes the consent again.
func (p packed) unpack(name string, texts []string) *v1alpha1.CustomerConsent {
	r := unpacking{rest: string(p), texts: texts}
	c := &v1alpha1.CustomerConsent{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if r.next(1) == "\x01" {
		id, _ := uuid.FromBytes([]byte(r.next(16)))
		c.UID = types.UID(id.String())
	} else {
		c.UID = types.UID(r.next(int(r.number())))
	}
	var a answer
	r.into(reflect.ValueOf(&a).Elem())
	c.Generation, c.DeletionTimestamp, c.Labels, c.Spec = a.Generation, a.Leaving, a.Labels, a.Spec
	return c
}

// unpacking is what has not been read yet.
type unpacking struct {
	rest  string
	texts []string
}

func (r *unpacking) next(n int) (s string) {
	s, r.rest = r.rest[:n], r.rest[n:]
	return s
}

func (r *unpacking) number() (n uint64) {
	for shift := 0; ; shift += 7 {
		b := r.next(1)[0]
		if n |= uint64(b&0x7f) << shift; b < 0x80 {
			return n
		}
	}
}

func (r *unpacking) signed() int64 {
	n := r.number()
	return int64(n>>1) ^ -int64(n&1)
}

func (r *unpacking) text() string {
	if n := r.number(); n > 0 {
		return r.texts[n-1]
	}
	return r.next(int(r.number()))
}

// into reads a value that is zero.
func (r *unpacking) into(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(r.text())
	case reflect.Int32, reflect.Int64:
		v.SetInt(r.signed())
	case reflect.Pointer:
		if r.next(1) == "\x01" {
			v.Set(reflect.New(v.Type().Elem()))
			r.into(v.Elem())
		}
	case reflect.Slice:
		n := int(r.number())
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			r.into(v.Index(i))
		}
	case reflect.Map:
		m := map[string]string{}
		for n := r.number(); n > 0; n-- {
			k := r.text()
			m[k] = r.text()
		}
		v.Set(reflect.ValueOf(m))
	default:
		r.structure(v)
	}
}

func (r *unpacking) structure(v reflect.Value) {
	if v.Type() == instant {
		t, _ := v.Addr().Interface().(*metav1.Time)
		sec := r.signed()
		t.Time = time.Unix(sec, int64(r.number())).UTC()
		return
	}
	for fields, i := r.number(), 0; fields != 0; fields, i = fields>>1, i+1 {
		if fields&1 != 0 {
			r.into(v.Field(i))
		}
	}
}

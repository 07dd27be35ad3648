package expr

// Memo is a number that is looked at more than once for the same row, or for the
// same element of a loop.
type Memo struct {
	Num   Num
	Depth int // of the loop that it depends on; 0: the row

	key   string // made once: it is long, and asked for over and over
	known []remembered
}

type remembered struct {
	value    int64
	epoch    uint32
	at, row  uint32
	ok, hard bool
}

// Value implements Num.
func (k *Memo) Value(m *Machine) (int64, bool) {
	if k.known == nil {
		k.known = make([]remembered, Chunk)
	}
	at := m.at[k.Depth]
	r := &k.known[at%Chunk]
	if r.epoch != m.epoch || r.at != at || r.row != m.at[0] { // a sweep may ask for rows what is remembered for elements
		was := m.Hard
		m.Hard = false
		v, ok := k.Num.Value(m)
		*r = remembered{value: v, ok: ok, hard: m.Hard, epoch: m.epoch, at: at, row: m.at[0]}
		m.Hard = m.Hard || was
	}
	m.Hard = m.Hard || r.hard
	return r.value, r.ok
}

// Key implements Num.
func (k *Memo) Key() string {
	if k.key == "" {
		k.key = k.Num.Key()
	}
	return k.key
}

// Package feed tells several readers, each at its own pace, what changed since
// they last asked. It does not know what the names in it stand for.
package feed

// Log remembers which names changed, in order, for readers that come
// back with a mark. It forgets the oldest; a reader that comes too late learns
// that everybody may have changed. It is not safe for concurrent use.
type Log struct {
	// Keep is how many changes are remembered. Zero: none.
	Keep  int
	first uint64   // mark of the change before log[0]
	log   []string // one for each mark after first
}

// Add notes a change and returns its mark, from 1 on.
func (l *Log) Add(name string) uint64 {
	l.log = append(l.log, name)
	if over := len(l.log) - 2*l.Keep; over > 0 { // cut half at a time: a cut copies
		l.first += uint64(len(l.log) - l.Keep)
		l.log = append([]string(nil), l.log[len(l.log)-l.Keep:]...)
	}
	return l.Mark()
}

// Forget makes everybody changed for every reader.
func (l *Log) Forget() {
	l.first, l.log = l.Mark()+1, nil
}

// Mark is that of the latest change.
func (l *Log) Mark() uint64 { return l.first + uint64(len(l.log)) }

// Since lists the names that changed after the mark, which an earlier call
// returned, and the mark to come back with; 0 is the beginning. all means that
// the list is of no use and everything may have changed.
func (l *Log) Since(mark uint64) (changed []string, now uint64, all bool) {
	now = l.Mark()
	if mark < l.first || mark > now {
		return nil, now, true
	}
	return append([]string(nil), l.log[mark-l.first:]...), now, false
}

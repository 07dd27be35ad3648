package audience

import "slices"

// Follow brings the table up to what changed in the records and in the ledger
// since it was last called, and returns it as it is then or later. The records'
// names are the customers'.
func (t *Table) Follow(records Records, past Ledger) *Snapshot {
	t.following.Lock()
	defer t.following.Unlock()
	changed, mark, all := records.Since(t.records)
	contacted, ledger, everybody := past.Since(t.ledger)
	if all || t.records == 0 {
		changed = records.Principals()
		s := t.Snapshot()
		for i := range s.Chunks() {
			for row := range s.live[i].All {
				if name := s.Name(i, row); !holds(records, name) {
					t.Remove(name)
				}
			}
		}
	}
	slices.Sort(changed)
	for _, name := range slices.Compact(changed) {
		r, ok := records.Get(name)
		if !ok {
			t.Remove(name)
			continue
		}
		c, _ := past.Contacts(name)
		t.Put(name, r.Consent, c, r.Seen)
	}
	if everybody {
		contacted = records.Principals()
	}
	slices.Sort(contacted)
	for _, name := range slices.Compact(contacted) {
		c, _ := past.Contacts(name)
		t.Past(name, c)
	}
	t.records, t.ledger = mark, ledger
	t.renew()
	return t.Snapshot()
}

func holds(records Records, name string) bool {
	_, ok := records.Get(name)
	return ok
}

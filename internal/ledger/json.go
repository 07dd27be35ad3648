package ledger

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
)

// readJSON reads a record as a database keeps it: each gate reads what all others
// write. What is out of the ordinary is left to encoding/json.
func readJSON(text string, r *Record) bool {
	p := plain{text: text}
	var out Record
	p.record(&out)
	if p.bad || strings.Trim(p.text, " \n") != "" {
		out = Record{}
		if json.Unmarshal([]byte(text), &out) != nil {
			return false
		}
	}
	*r = out
	return true
}

// plain reads JSON from the front of text: objects of known keys, texts without
// escapes, whole numbers. After anything else it is bad.
type plain struct {
	text string
	bad  bool
}

func (p *plain) record(r *Record) {
	p.object(func(key string) {
		switch key {
		case "key":
			r.Key = p.string()
		case "at":
			r.At = p.time()
		case "principal":
			r.Principal = p.string()
		case "brand":
			r.Brand = p.string()
		case "purpose":
			r.Purpose = p.string()
		case "class":
			r.Class = v1alpha1.PurposeClass(p.string())
		case "channel":
			r.Channel = v1alpha1.Channel(p.string())
		case "topic":
			r.Topic = p.string()
		case "event":
			r.Event = contacts.Event(p.string())
		case "campaign":
			p.campaign(&r.Campaign)
		case "permit":
			r.Permit = p.string()
		case "state":
			r.State = contacts.State(p.string())
		case "policyDigest":
			r.PolicyDigest = p.string()
		case "consentRevision":
			r.ConsentRevision = p.string()
		case "until":
			r.Until = p.time()
		case "pod":
			r.Pod = p.string()
		case "detail":
			r.Detail = p.string()
		default: // reasons have few records
			p.bad = true
		}
	})
}

func (p *plain) campaign(c *contacts.Campaign) {
	p.object(func(key string) {
		switch key {
		case "namespace":
			c.Namespace = p.string()
		case "name":
			c.Name = p.string()
		case "uid":
			c.UID = p.string()
		case "generation":
			c.Generation = p.number()
		case "job":
			c.Job = p.string()
		default:
			p.bad = true
		}
	})
}

// object calls value for each key, with the value next in the text.
func (p *plain) object(value func(key string)) {
	p.take('{')
	for first := true; !p.bad; first = false {
		if p.next() == '}' {
			p.take('}')
			return
		}
		if !first {
			p.take(',')
		}
		key := p.string()
		p.take(':')
		if !p.bad {
			value(key)
		}
	}
}

// next is the next byte that is not blank; 0: there is none.
func (p *plain) next() byte {
	for len(p.text) > 0 && (p.text[0] == ' ' || p.text[0] == '\n') {
		p.text = p.text[1:]
	}
	if p.text == "" {
		return 0
	}
	return p.text[0]
}

func (p *plain) take(b byte) {
	if p.next() != b {
		p.bad = true
		return
	}
	p.text = p.text[1:]
}

func (p *plain) string() string {
	p.take('"')
	for i := 0; i < len(p.text) && !p.bad; i++ {
		switch b := p.text[i]; {
		case b == '"':
			out := p.text[:i]
			p.text = p.text[i+1:]
			return out
		case b == '\\' || b < ' ' || b > '~':
			p.bad = true
		}
	}
	p.bad = true
	return ""
}

func (p *plain) time() time.Time {
	at, err := time.Parse(time.RFC3339Nano, p.string())
	p.bad = p.bad || err != nil
	return at
}

func (p *plain) number() int64 {
	p.next()
	end := 0
	for end < len(p.text) && p.text[end] >= '0' && p.text[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(p.text[:end], 10, 64)
	p.bad = p.bad || err != nil || n > 0 && p.text[0] == '0' || n == 0 && end > 1
	p.text = p.text[end:]
	return n
}

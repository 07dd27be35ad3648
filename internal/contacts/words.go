package contacts

import "strings"

// word says whether a text has a form. These are asked about every field of every
// record.
type word func(string) bool

const (
	digits   = "0123456789"
	lower    = "abcdefghijklmnopqrstuvwxyz"
	capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// set of bytes.
type set [256]bool

func setOf(bytes string) *set {
	var s set
	for i := range len(bytes) {
		s[bytes[i]] = true
	}
	return &s
}

func (s *set) all(text string) bool {
	for i := range len(text) {
		if !s[text[i]] {
			return false
		}
	}
	return true
}

var (
	labelBytes = setOf(lower + digits + "-")
	alphanum   = setOf(lower + capitals + digits)
	tokenBytes = setOf(lower + capitals + digits + "._:/=-")
	hexBytes   = setOf(digits + "abcdef")
)

// dnsLabel is ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$.
func dnsLabel(s string) bool {
	return len(s) > 0 && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-' && labelBytes.all(s)
}

// term is ^[A-Z][A-Za-z0-9]{0,62}$.
func term(s string) bool {
	return len(s) > 0 && len(s) <= 63 && s[0] >= 'A' && s[0] <= 'Z' && alphanum.all(s)
}

// token is ^[A-Za-z0-9][A-Za-z0-9._:/=-]*$.
func token(s string) bool { return len(s) > 0 && alphanum[s[0]] && tokenBytes.all(s) }

// digest is ^sha256:[0-9a-f]{64}$.
func digest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && hexBytes.all(hex)
}

// detail is up to 128 of ASCII without @.
func detail(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '@' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 128
}

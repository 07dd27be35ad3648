package contacts

import (
	"regexp"
	"testing"
)

// The forms as they are documented; what is asked of each record is the same
// without an engine for expressions.
func FuzzWords(f *testing.F) {
	forms := map[*regexp.Regexp]word{
		regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`): dnsLabel,
		regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,62}$`):             term,
		regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/=-]*$`):      token,
		regexp.MustCompile(`^sha256:[0-9a-f]{64}$`):                digest,
		regexp.MustCompile(`^[\x20-\x3F\x41-\x7E]{1,128}$`):        detail,
	}
	const hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, s := range []string{
		"", "a", "-", "a-", "-a", "a-b", "A", "Ab9", "9A", "aB", "Ä", "a.b", "a/b:c=d_e-f", ".a", "a b", "a@b", "a\n", "\x7f", "~", "\x1f",
		hex[:62], hex[:63], hex, "A" + hex[:62], "A" + hex[:63], hex + hex, hex + hex + "0", "sha256:" + hex, "sha256:" + hex + "0", "sha256:" + hex[1:], "sha256:A" + hex[1:], "sha512:" + hex,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for form, is := range forms {
			if is(s) != form.MatchString(s) {
				t.Errorf("%q is of the form %s: %v", s, form, !is(s))
			}
		}
	})
}

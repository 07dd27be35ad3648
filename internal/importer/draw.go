package importer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// keyed is HMAC-SHA256 of what is asked about which row, under the seed. Every
// draw has a name, so that a new one changes none of the others, and no
// library's generator can change them all.
func (m Mapper) keyed(row int, what string) []byte {
	var key, number [8]byte
	binary.BigEndian.PutUint64(key[:], m.Seed)
	binary.BigEndian.PutUint64(number[:], uint64(row))
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(what))
	mac.Write(number[:])
	return mac.Sum(nil)
}

// draw returns a number from 0 to n-1.
func (m Mapper) draw(row int, what string, n int) int {
	return int(binary.BigEndian.Uint64(m.keyed(row, what)) % uint64(n))
}

// principal is the row's opaque id. With 48 bits, 41,188 rows collide under
// one seed of 330,000; a test says that the default seed is none of them.
func (m Mapper) principal(row int) string {
	return "c-" + hex.EncodeToString(m.keyed(row, "principal")[:6])
}

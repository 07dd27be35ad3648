package policy

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/codb-dev/codb/internal/decision"
)

// request is one thing asked of a worker: exactly one field is set. The first
// must be Start.
type request struct {
	Start *startRequest `json:"start,omitempty"`
	Check *Policy       `json:"check,omitempty"`
	Load  *loadRequest  `json:"load,omitempty"`
	Judge *judgeRequest `json:"judge,omitempty"`
	Eval  *evalRequest  `json:"eval,omitempty"`
}

// startRequest gives a worker its budget, and the digest of the library that it
// must have too.
type startRequest struct {
	Library     string `json:"library"`
	MemoryBytes int64  `json:"memoryBytes"`
}

// loadRequest has policies compiled and kept under their digest.
type loadRequest struct {
	Digest   string   `json:"digest"`
	Policies []Policy `json:"policies"`
	// Planned: by plans, where there are any.
	Planned bool `json:"planned,omitempty"`
	// Forget all others first.
	Forget bool `json:"forget,omitempty"`
}

// judgeRequest asks about customers under policies loaded before.
type judgeRequest struct {
	Digest   string             `json:"digest"`
	Now      time.Time          `json:"now"`
	Campaign decision.Campaign  `json:"campaign"`
	Subjects []decision.Subject `json:"subjects"`
	Planned  bool               `json:"planned,omitempty"`
	// Careful asks use by use, tells which is next, and answers customer by
	// customer, so that the one at fault is known when the worker is killed.
	Careful bool `json:"careful,omitempty"`
	// Stopped are uses that are not asked: they deny.
	Stopped []int `json:"stopped,omitempty"`
	// StoppedFirst are more of them for the first customer.
	StoppedFirst []int `json:"stoppedFirst,omitempty"`
}

// response is a worker's answer, or a part of it.
type response struct {
	// More says that this is not the last one.
	More bool `json:"more,omitempty"`
	// Next is the use that is asked next, of a careful judgement.
	Next *int `json:"next,omitempty"`

	Uses    int               `json:"uses,omitempty"` // of a load
	Report  *Report           `json:"report,omitempty"`
	Answers []decision.Answer `json:"answers,omitempty"`
	Value   string            `json:"value,omitempty"` // as Rego text; empty: undefined
	Error   string            `json:"error,omitempty"`
}

// maxFrame bounds what either side reads at once.
const maxFrame = 256 << 20

// writeFrame writes v as JSON, its length in four bytes before it.
func writeFrame(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	if len(text) > maxFrame {
		return fmt.Errorf("encode frame: %d bytes, the limit is %d", len(text), maxFrame)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, len(text)+4), uint32(len(text)))
	if _, err := w.Write(append(frame, text...)); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}

// readFrame reads what writeFrame wrote. At the end of the stream it returns
// io.EOF itself.
func readFrame(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return fmt.Errorf("read frame: %d bytes, the limit is %d", n, maxFrame)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return fmt.Errorf("read frame: %w", err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("decode frame: %w", err)
	}
	return nil
}

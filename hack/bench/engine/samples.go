package main

import (
	"encoding/json"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"

	"github.com/codb-dev/codb/internal/decision"
	"github.com/codb-dev/codb/internal/expr"
)

// sample is one customer of those whom the slow ones are asked about.
type sample struct {
	chunk, row int
	maps       map[string]any // for OPA, with its numbers
	plain      map[string]any // for CEL, with Go's
	parsed     ast.Value
}

// samples are n customers, spread over all chunks.
func (c *customers) samples(n int, of *decision.Campaign) ([]sample, error) {
	out := make([]sample, 0, n)
	rows := c.rows()
	for i := range n {
		place := int(int64(i) * int64(rows) / int64(n))
		s := sample{chunk: place / expr.Chunk, row: place % expr.Chunk}
		subject := c.Subject(s.chunk, s.row, of)
		text := document(of, &subject)
		if err := util.UnmarshalJSON(text, &s.maps); err != nil {
			return nil, fmt.Errorf("read a customer's document: %w", err)
		}
		s.plain = integers(s.maps).(map[string]any)
		var err error
		if s.parsed, err = ast.InterfaceToValue(s.maps); err != nil {
			return nil, fmt.Errorf("parse a customer's document: %w", err)
		}
		out = append(out, s)
	}
	return out, nil
}

// integers copies a document with numbers as Go's.
func integers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = integers(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = integers(x)
		}
		return out
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			return v.String() // which no condition takes for a number
		}
		return n
	}
	return v
}

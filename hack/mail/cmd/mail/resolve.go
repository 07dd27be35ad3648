package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// resolve answers each question with the principal it was asked for, and with
// the address where there is one.
func resolve(address func(principal string) string, in io.Reader, out io.Writer) error {
	type line struct {
		Principal string `json:"principal"`
		Address   string `json:"address,omitempty"`
	}
	answers := json.NewEncoder(out)
	questions := bufio.NewScanner(in)
	for n := 1; questions.Scan(); n++ {
		var q line
		if err := json.Unmarshal(questions.Bytes(), &q); err != nil {
			return fmt.Errorf("line %d is no question", n)
		}
		if err := answers.Encode(line{q.Principal, address(q.Principal)}); err != nil {
			return err
		}
	}
	return questions.Err()
}

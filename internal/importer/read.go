// Package importer makes customers and their past of the UCI bank campaign
// (test/data). It knows neither the ledger's format nor any policy, and it
// never makes a consent of a number that a bank happened to have.
package importer

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// NeverBefore is what pdays says where the bank knew of no earlier contact, or
// had forgotten its day.
const NeverBefore = 999

// Row is what one row says of one customer, without what nobody needs.
type Row struct {
	// Line is where the row stands in the file; the header is line 1.
	Line int
	// Number counts the rows from 1.
	Number int

	Age     int
	Job     string
	Marital string
	// Number of calls in this campaign, the last one included.
	Calls int
	// DaysSince the last call of an earlier campaign; NeverBefore: not known.
	DaysSince int
	// Previous is the number of calls of earlier campaigns.
	Previous int
	// Outcome of the earlier campaign: nonexistent, failure or success.
	Outcome string
	// Phone is the kind of number that the bank had: cellular or telephone.
	Phone string
}

// Read calls fn for every row of r, in order, and stops at the first error.
// Its own errors name line, column, value and remedy.
func Read(r io.Reader, fn func(Row) error) error {
	in := csv.NewReader(r)
	in.Comma = ';'
	in.ReuseRecord = true
	header, err := in.Read()
	if errors.Is(err, io.EOF) {
		return errors.New("read header: the file is empty: pass bank-additional-full.csv, plain or gzipped")
	}
	if err != nil {
		return fmt.Errorf("read header: %w", err)
	}
	at, err := locate(header)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if errors.Is(err, csv.ErrFieldCount) {
			line, _ := in.FieldPos(0)
			return fmt.Errorf("line %d has %d columns, the header has %d: complete the row or leave it out", line, len(record), len(header))
		}
		if err != nil {
			return fmt.Errorf("read row %d: %w: correct the row or leave it out", n, err)
		}
		line, _ := in.FieldPos(0)
		p := parser{line: line, record: record, at: at}
		row := p.row(n)
		if p.err != nil {
			return p.err
		}
		if err := fn(row); err != nil {
			return err
		}
	}
}

// The words that the data set uses, by column.
var vocabulary = map[string][]string{
	"job": {"admin.", "blue-collar", "entrepreneur", "housemaid", "management", "retired",
		"self-employed", "services", "student", "technician", "unemployed", "unknown"},
	"marital":  {"divorced", "married", "single", "unknown"},
	"contact":  {"cellular", "telephone"},
	"poutcome": {"nonexistent", "failure", "success"},
}

var columns = []string{"age", "job", "marital", "contact", "campaign", "pdays", "previous", "poutcome"}

// locate finds the columns that are read; the order doesn't matter and others
// are passed over.
func locate(header []string) (map[string]int, error) {
	at := map[string]int{}
	for i, name := range header {
		at[name] = i
	}
	for _, name := range columns {
		if _, ok := at[name]; !ok {
			return nil, fmt.Errorf("read header: no column %q: the file must be bank-additional-full.csv, separated by semicolons", name)
		}
	}
	return at, nil
}

// parser reads one record; after the first error it reads nothing more.
type parser struct {
	line   int
	record []string
	at     map[string]int
	err    error
}

func (p *parser) row(n int) Row {
	row := Row{
		Line: p.line, Number: n,
		Age:     p.number("age", 0, 120),
		Job:     p.word("job"),
		Marital: p.word("marital"),
		Phone:   p.word("contact"),
		// No campaign of the data set calls more often than 56 times; the bound
		// keeps a broken row from making a million calls.
		Calls:     p.number("campaign", 1, 1000),
		DaysSince: p.number("pdays", 0, NeverBefore),
		Previous:  p.number("previous", 0, 100),
		Outcome:   p.word("poutcome"),
	}
	if p.err == nil && (row.Outcome == "nonexistent") != (row.Previous == 0) {
		p.refuse("poutcome", "contradicts column previous, "+strconv.Itoa(row.Previous))
	}
	return row
}

func (p *parser) number(column string, least, most int) int {
	n, err := strconv.Atoi(p.record[p.at[column]])
	if err != nil || n < least || n > most {
		p.refuse(column, fmt.Sprintf("is no whole number from %d to %d", least, most))
	}
	return n
}

// word returns the vocabulary's own string: the record's buffer is reused.
func (p *parser) word(column string) string {
	words := vocabulary[column]
	i := slices.Index(words, p.record[p.at[column]])
	if i < 0 {
		p.refuse(column, "is none of "+strings.Join(words, ", "))
		return ""
	}
	return words[i]
}

func (p *parser) refuse(column, why string) {
	if p.err == nil {
		p.err = fmt.Errorf("line %d, column %s: %.40q %s: correct the row or leave it out", p.line, column, p.record[p.at[column]], why)
	}
}

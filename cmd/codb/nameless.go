package main

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/go-logr/logr"
)

// person is a customer's id where the apiserver's library may name one: in the
// path of a request, and in an error about an object.
var person = regexp.MustCompile(`(customerconsents(?:\.[a-z.]+)?(?:/|%2F| \\?"))[^\s/?,"\\]+`)

// nameless makes a logger that leaves out who a line is about.
func nameless(log logr.Logger) logr.Logger { return log.WithSink(veil{log.GetSink()}) }

type veil struct{ logr.LogSink }

func veiled(text string) string { return person.ReplaceAllString(text, "$1...") }

func veiledPairs(pairs []any) []any {
	out := make([]any, len(pairs))
	for i, v := range pairs {
		switch v := v.(type) {
		case string:
			out[i] = veiled(v)
		case error:
			out[i] = veiled(v.Error())
		case fmt.Stringer:
			out[i] = veiled(v.String())
		default:
			out[i] = v
		}
	}
	return out
}

// Info implements logr.LogSink.
func (v veil) Info(level int, message string, pairs ...any) {
	v.LogSink.Info(level, veiled(message), veiledPairs(pairs)...)
}

// Error implements logr.LogSink.
func (v veil) Error(err error, message string, pairs ...any) {
	if err != nil {
		err = errors.New(veiled(err.Error()))
	}
	v.LogSink.Error(err, veiled(message), veiledPairs(pairs)...)
}

// WithValues implements logr.LogSink.
func (v veil) WithValues(pairs ...any) logr.LogSink {
	return veil{v.LogSink.WithValues(veiledPairs(pairs)...)}
}

// WithName implements logr.LogSink.
func (v veil) WithName(name string) logr.LogSink { return veil{v.LogSink.WithName(name)} }

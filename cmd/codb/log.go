package main

import (
	"github.com/go-logr/logr"
	"k8s.io/klog/v2/textlogger"
)

// newLogger writes changes, and leaves out what controller-runtime says of its
// own inside: one line for each watch and each worker, at every start and stop.
func newLogger(options ...textlogger.ConfigOption) logr.Logger {
	return logr.New(quiet{textlogger.NewLogger(textlogger.NewConfig(options...)).GetSink()}).WithCallDepth(1)
}

// noise are controller-runtime's constant messages that name nothing which a
// person could act on.
var noise = map[string]bool{
	"Starting EventSource": true,
	"Starting Controller":  true,
	"Starting workers":     true,
	"All workers finished": true,
	"Shutdown signal received, waiting for all workers to finish": true,
	"Registering a validating webhook":                            true,
	"Registering webhook":                                         true,
	"Starting webhook server":                                     true,
	"Starting metrics server":                                     true,
	"Stopping and waiting for non leader election runnables":      true,
	"Stopping and waiting for leader election runnables":          true,
	"Stopping and waiting for warmup runnables":                   true,
	"Stopping and waiting for caches":                             true,
	"Stopping and waiting for webhooks":                           true,
	"Stopping and waiting for HTTP servers":                       true,
	"Wait completed, proceeding to shutdown the manager":          true,
}

// quiet drops noise. Errors always pass.
type quiet struct{ logr.LogSink }

func (q quiet) Info(level int, message string, pairs ...any) {
	if !noise[message] {
		q.LogSink.Info(level, message, pairs...)
	}
}

// Error is here so that both are equally deep.
func (q quiet) Error(err error, message string, pairs ...any) {
	q.LogSink.Error(err, message, pairs...)
}

func (q quiet) WithValues(pairs ...any) logr.LogSink { return quiet{q.LogSink.WithValues(pairs...)} }
func (q quiet) WithName(name string) logr.LogSink    { return quiet{q.LogSink.WithName(name)} }

// WithCallDepth implements logr.CallDepthLogSink.
func (q quiet) WithCallDepth(depth int) logr.LogSink {
	if s, ok := q.LogSink.(logr.CallDepthLogSink); ok {
		return quiet{s.WithCallDepth(depth)}
	}
	return q
}

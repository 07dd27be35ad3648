package policy

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	want := request{Check: &Policy{Name: "p", Rego: "package x\n"}}
	for range 2 {
		if err := writeFrame(&b, want); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		var got request
		if err := readFrame(&b, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("frame (-want +got):\n%s", diff)
		}
	}
	var got request
	if err := readFrame(&b, &got); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestFramesThatAreNone(t *testing.T) {
	for name, bytes := range map[string]string{
		"Cut":     "\x00\x00\x00\x09{}",
		"TooLong": "\xff\xff\xff\xff{}",
		"NoJSON":  "\x00\x00\x00\x02{{",
	} {
		t.Run(name, func(t *testing.T) {
			var got request
			if err := readFrame(strings.NewReader(bytes), &got); err == nil || errors.Is(err, io.EOF) && name != "Cut" {
				t.Errorf("taken: %v", err)
			}
		})
	}
}

// A worker ends with the process that asked for it.
func TestWorkerEndsWithItsInput(t *testing.T) {
	lib := small(t)
	for name, input := range map[string]func() io.Reader{
		"NothingSaid": func() io.Reader { return strings.NewReader("") },
		"Gibberish":   func() io.Reader { return strings.NewReader("what is this, no frame at all") },
		"NoStart":     func() io.Reader { return frames(t, request{Check: &Policy{Name: "p"}}) },
	} {
		t.Run(name, func(t *testing.T) {
			if code := WorkerMain(lib, input(), io.Discard); code == 0 {
				t.Error("the worker is content")
			}
		})
	}
}

func frames(t *testing.T, requests ...request) io.Reader {
	var b bytes.Buffer
	for _, r := range requests {
		if err := writeFrame(&b, r); err != nil {
			t.Fatal(err)
		}
	}
	return &b
}

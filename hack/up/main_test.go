package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhichClusterIsChosen(t *testing.T) {
	for name, c := range map[string]struct {
		said, docker string
		want, err    string
	}{
		"an engine answers: kind":                  {docker: "echo 28.2.2", want: "kind"},
		"docker without an engine: our own":        {docker: "exit 1", want: "local"},
		"no docker at all: our own":                {want: "local"},
		"what the user says, engine or not":        {said: "local", docker: "echo 28.2.2", want: "local"},
		"the user's own cluster":                   {said: "current", want: "current"},
		"a word that means nothing is not ignored": {said: "kinnd", docker: "echo 28.2.2", err: `"kinnd"; it may be current, kind or local`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if c.docker != "" {
				if err := os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\n"+c.docker+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", dir)
			t.Setenv("CODB_CLUSTER", c.said)
			got, err := choose()
			if got != c.want || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %q, %v; want %q, error %q", got, err, c.want, c.err)
			}
		})
	}
}

// TestKindLeavesTheUsersKubeconfigAlone: what kind writes goes to a file of
// the cluster's own.
func TestKindLeavesTheUsersKubeconfigAlone(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	got, err := kindConfig("codb-demo")
	if want := filepath.Join(state, "codb", "kind", "codb-demo.kubeconfig"); err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

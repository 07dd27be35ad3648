package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// copySelf puts this program where the sender's container finds it. The image
// it comes in has no other program that could.
func copySelf(to string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	from, err := os.Open(self)
	if err != nil {
		return fmt.Errorf("copy this program: %w", err)
	}
	defer from.Close()
	// Under another name first: a container that restarts must not find half.
	half, err := os.CreateTemp(filepath.Dir(to), ".codb-run-*")
	if err != nil {
		return fmt.Errorf("copy this program: %w", err)
	}
	defer os.Remove(half.Name()) //nolint:errcheck // it is not there any more where all went well
	_, err = io.Copy(half, from)
	if err == nil {
		err = half.Chmod(0o555)
	}
	if cerr := half.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(half.Name(), to)
	}
	if err != nil {
		return fmt.Errorf("copy this program to %s: %w", to, err)
	}
	return nil
}

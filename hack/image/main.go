// Command image builds codb's image without Docker: one static binary and its
// bill of materials on an empty base, byte for byte the same from the same
// source. It talks to no registry.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

type options struct {
	root, out, tag, arch string
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", "../..", "folder of the module to build")
	flag.StringVar(&o.out, "out", "../../dist", "folder for codb.tar and codb.spdx.json")
	flag.StringVar(&o.tag, "tag", "localhost/codb:dev", "name of the image")
	flag.StringVar(&o.arch, "arch", runtime.GOARCH, "architecture to build for")
	flag.Parse()
	digest, err := build(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	fmt.Println(digest)
}

// build writes the image and its bill of materials, and returns the image's
// digest.
func build(o options) (string, error) {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "codb-image")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "codb")
	if err := compile(o, binary); err != nil {
		return "", err
	}
	bill, err := materials(binary)
	if err != nil {
		return "", fmt.Errorf("list the binary's materials: %w", err)
	}
	if err := os.WriteFile(filepath.Join(o.out, "codb.spdx.json"), bill, 0o644); err != nil {
		return "", err
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		return "", err
	}
	return pack(o, program, bill)
}

// compile leaves out whatever differs between two machines: paths, the state
// of version control, C libraries, flags of the environment.
func compile(o options, binary string) error {
	c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", binary, "./cmd/codb")
	c.Dir = o.root
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+o.arch, "GOFLAGS=", "GOWORK=off", "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./cmd/codb in %s: %w\n%s", o.root, err, out)
	}
	return nil
}

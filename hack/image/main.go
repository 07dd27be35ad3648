// Command image builds codb's image without Docker: two static programs, codb
// and the codb-run that campaigns' pods get, and their bill of materials on an
// empty base, byte for byte the same from the same
// source. It talks to no registry.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

type options struct {
	root, out, tag, arch string
	// programs are what the image holds, each from the folder of its name in
	// cmd; the first is what it runs.
	programs []string
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", "../..", "folder of the module to build")
	flag.StringVar(&o.out, "out", "../../dist", "folder for codb.tar and codb.spdx.json, or those of another program")
	flag.StringVar(&o.tag, "tag", "localhost/codb:dev", "name of the image")
	flag.StringVar(&o.arch, "arch", runtime.GOARCH, "architecture to build for")
	programs := flag.String("programs", "codb,codb-run", "what it holds, each from the folder of its name in cmd; it runs the first")
	flag.Parse()
	o.programs = strings.Split(*programs, ",")
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
	var binaries []string
	var content []file
	for _, program := range o.programs {
		binary := filepath.Join(dir, program)
		if err := compile(o, program, binary); err != nil {
			return "", err
		}
		raw, err := os.ReadFile(binary)
		if err != nil {
			return "", err
		}
		binaries, content = append(binaries, binary), append(content, file{program, raw, 0o755})
	}
	bill, err := materials(binaries)
	if err != nil {
		return "", fmt.Errorf("list the programs' materials: %w", err)
	}
	if err := os.WriteFile(filepath.Join(o.out, o.programs[0]+".spdx.json"), bill, 0o644); err != nil {
		return "", err
	}
	return pack(o, append(content, file{"sbom.spdx.json", bill, 0o644}))
}

// compile leaves out whatever differs between two machines: paths, the state
// of version control, C libraries, flags of the environment.
func compile(o options, program, binary string) error {
	c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", binary, "./cmd/"+program)
	c.Dir = o.root
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+o.arch, "GOFLAGS=", "GOWORK=off", "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./cmd/%s in %s: %w\n%s", program, o.root, err, out)
	}
	return nil
}

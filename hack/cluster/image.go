package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Both images are the program busy; no registry is involved.
const (
	busyImage  = "localhost/codb-busy:dev"
	pauseImage = "localhost/codb-pause:dev"
)

func runLoadImage(o *options) error {
	c, err := withNode(o.name)
	if err != nil {
		return err
	}
	f, err := os.Open(o.wants[0])
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := c.loadImage(f)
	progress("%s", names)
	return err
}

func runLoadTestImage(o *options) error {
	c, err := withNode(o.name)
	if err != nil {
		return err
	}
	if err := c.loadTestImage(); err != nil {
		return err
	}
	progress("loaded %s\n", busyImage)
	return nil
}

func withNode(name string) (*Cluster, error) {
	c, err := load(name)
	if err != nil {
		return nil, err
	}
	if !c.Node {
		return nil, fmt.Errorf("cluster %s has no node (%s), so it can hold no image", name, c.NoNode)
	}
	if c.pid("containerd") == 0 {
		return nil, fmt.Errorf("containerd of cluster %s does not run; cluster up --name %s starts it", name, name)
	}
	return c, nil
}

// loadImage imports an image archive into the containerd of this cluster and
// returns what it says about it. The archive goes through stdin, because the
// node does not see every folder of the host.
func (c *Cluster) loadImage(archive io.Reader) (string, error) {
	argv := append(c.enterNode(), "ctr", "--namespace=k8s.io", "images", "import", "--snapshotter="+c.Snapshotter(), "-")
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = archive
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("load the image: %w: %s; is it a tar of docker save or of an OCI layout?", err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

func runTestImage(o *options) error {
	dir, err := os.MkdirTemp("", "codb-busy")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	archive, err := testImage(filepath.Join(dir, "busy"))
	if err != nil {
		return err
	}
	return os.WriteFile(o.wants[0], archive, 0o644)
}

// loadTestImage builds busy and loads it under both names.
func (c *Cluster) loadTestImage() error {
	archive, err := testImage(c.path("busy")) // not in the cache, where another cluster may build it, too
	if err != nil {
		return err
	}
	_, err = c.loadImage(bytes.NewReader(archive))
	return err
}

// testImage builds busy as that file, and of it the archive of both images.
func testImage(binary string) ([]byte, error) {
	source, err := moduleDir()
	if err != nil {
		return nil, err
	}
	if out, err := goBuild(source, "./busy", binary, "-s -w"); err != nil {
		return nil, fmt.Errorf("build the test image: %w\n%s", err, out)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	archive, err := imageArchive(program)
	if err != nil {
		return nil, fmt.Errorf("build the test image: %w", err)
	}
	return archive, nil
}

// imageArchive packs a static program as /busy into one layer and two images,
// in the format of docker save.
func imageArchive(program []byte) ([]byte, error) {
	layer, err := tarFile(entry{"busy", program, 0o755})
	if err != nil {
		return nil, err
	}
	type object = map[string]any
	var errs []error
	encode := func(v any) []byte {
		data, err := json.Marshal(v)
		errs = append(errs, err)
		return data
	}
	config := func(cmd ...string) []byte {
		return encode(object{
			"architecture": runtime.GOARCH,
			"os":           "linux",
			"config":       object{"Entrypoint": []string{"/busy"}, "Cmd": cmd, "User": "65532:65532"},
			"rootfs":       object{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
		})
	}
	image := func(config, tag string) object {
		return object{"Config": config, "RepoTags": []string{tag}, "Layers": []string{"layer.tar"}}
	}
	archive, err := tarFile(
		entry{"layer.tar", layer, 0o644},
		entry{"busy.json", config("true"), 0o644},
		entry{"pause.json", config("pause"), 0o644},
		entry{"manifest.json", encode([]object{image("busy.json", busyImage), image("pause.json", pauseImage)}), 0o644},
	)
	return archive, errors.Join(append(errs, err)...)
}

type entry struct {
	name string
	data []byte
	mode int64
}

// tarFile has no times and no owners, so the same program is the same image.
func tarFile(entries ...entry) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		if err := w.WriteHeader(&tar.Header{Name: e.name, Size: int64(len(e.data)), Mode: e.mode}); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.data); err != nil {
			return nil, err
		}
	}
	err := w.Close() // writes the end, so before the bytes are taken
	return buf.Bytes(), err
}

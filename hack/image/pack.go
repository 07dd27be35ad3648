package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// user is nobody in particular: any number that is not root.
const user = "65532:65532"

// pack writes dist/codb.tar as docker load, ctr and kind read it.
func pack(o options, entries []file) (string, error) {
	tag, err := name.NewTag(o.tag)
	if err != nil {
		return "", fmt.Errorf("--tag: %w", err)
	}
	content, err := files(entries)
	if err != nil {
		return "", err
	}
	layer, err := tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		tarball.WithMediaType(types.DockerLayer),
	)
	if err != nil {
		return "", err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return "", err
	}
	img, err = mutate.ConfigFile(img, configured(img, o))
	if err != nil {
		return "", err
	}
	if err := tarball.WriteToFile(filepath.Join(o.out, o.programs[0]+".tar"), tag, img); err != nil {
		return "", fmt.Errorf("write the image: %w", err)
	}
	digest, err := img.Digest()
	return digest.String(), err
}

func configured(img v1.Image, o options) *v1.ConfigFile {
	old, err := img.ConfigFile()
	if err != nil {
		old = &v1.ConfigFile{}
	}
	c := old.DeepCopy()
	c.OS, c.Architecture = "linux", o.arch
	c.History = nil // its times are of no use, and the layers speak for themselves
	c.Config = v1.Config{
		Entrypoint: []string{"/" + o.programs[0]},
		User:       user,
		WorkingDir: "/",
		Labels: map[string]string{
			"org.opencontainers.image.title":    o.programs[0],
			"org.opencontainers.image.licenses": "Apache-2.0",
			"org.opencontainers.image.source":   "https://github.com/codb-dev/codb",
		},
	}
	return c
}

type file struct {
	name string
	data []byte
	mode int64
}

// files is a tar without times, owners and names of users, so that the same
// content is the same archive.
func files(entries []file) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		if err := w.WriteHeader(&tar.Header{Name: e.name, Size: int64(len(e.data)), Mode: e.mode, Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.data); err != nil {
			return nil, err
		}
	}
	err := w.Close() // writes the end, so before the bytes are taken
	return buf.Bytes(), err
}

package apiserver

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// BuildCodb builds codb and kubectl's plugin into the folder and returns codb's
// path. It looks
// at every source file itself: go test knows only what the test looked at, and
// would take its result from the cache after codb has changed.
func BuildCodb(dir string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find codb's source: %w", err)
	}
	root := string(out[:max(0, len(out)-1)])
	for _, room := range []string{"api", "cmd", "config", "controllers", "internal", "policies"} {
		err := filepath.WalkDir(filepath.Join(root, room), func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			return "", fmt.Errorf("look at codb's source: %w", err)
		}
	}
	path := filepath.Join(dir, "codb")
	if out, err := exec.Command("go", "build", "-o", dir+"/", "github.com/codb-dev/codb/cmd/codb", "github.com/codb-dev/codb/cmd/kubectl-codb").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build codb: %w\n%s", err, out)
	}
	return path, nil
}

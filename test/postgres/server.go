// Package postgres starts real PostgreSQL servers for tests, kills them, and
// puts a bad network in front of them. It does not know what is stored there.
package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// User is who the servers know.
const User = "codb"

// startTime is what a server may take to recover and answer.
const startTime = time.Minute

// Server is a PostgreSQL of its own, in a folder of its own, reached through a
// socket there. It ends with the process that started it.
type Server struct {
	programs, dir string
	credential    *syscall.Credential
	network       []string // settings by which it is reached from elsewhere

	alive io.WriteCloser // its end is the server's
	ended chan struct{}
}

// New lays out a server in a new folder and starts it. It syncs what it
// commits, as in earnest.
func New() (*Server, error) {
	programs, err := find()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "codb-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{programs: programs, dir: dir}
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		const nobody = 65534
		s.credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		if err := os.Chown(dir, nobody, nobody); err != nil {
			return nil, err
		}
	}
	initdb := s.command("initdb", "-D", s.data(), "-U", User, "-A", "trust", "--no-locale", "-E", "UTF8", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w: %s", err, out), os.RemoveAll(dir))
	}
	return s, s.Start()
}

// find looks for the programs of PostgreSQL 15.
func find() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	script := filepath.Join(filepath.Dir(file), "../../hack/postgres.sh")
	out, err := exec.Command(script).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return "", fmt.Errorf("find PostgreSQL: %s", exit.Stderr)
		}
		return "", fmt.Errorf("find PostgreSQL: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(program string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.programs, program), args...)
	c.Dir, c.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.credential, Setpgid: true}
	return c
}

// watch runs a server. When its own standard input ends without a word, whoever
// started it has gone: then the server ends, and its files go away.
const watch = `exec 3<&0
"$@" 3<&- & server=$!
{
	read -r word <&3
	[ "$word" = keep ] && exit
	while kill -QUIT $server; do sleep 0.1; done
	rm -rf "$DIR"
} 2>/dev/null &
exec 3<&-
wait $server`

// Start starts it again after Kill. PostgreSQL ends at once while processes of
// the one before are still going; then it is started again.
func (s *Server) Start() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for {
		said, err := s.launch()
		if err != nil {
			return err
		}
		err = s.answers(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		s.leave()
		if !bytes.Contains(said.Bytes(), []byte("shared memory")) && !bytes.Contains(said.Bytes(), []byte("lock file")) {
			return fmt.Errorf("%w: %s", err, said)
		}
	}
}

// launch starts the process; what it says can be read when it has ended.
func (s *Server) launch() (*bytes.Buffer, error) {
	args := []string{"-c", watch, "watch", filepath.Join(s.programs, "postgres"), "-D", s.data(), "-k", s.dir}
	settings := []string{"listen_addresses=", "fsync=on", "shared_buffers=64MB", "max_connections=200", "log_min_messages=fatal"}
	for _, setting := range append(settings, s.network...) {
		args = append(args, "-c", setting)
	}
	c := exec.Command("/bin/sh", args...)
	c.Dir, c.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.credential, Setpgid: true}
	c.Env = append(os.Environ(), "DIR="+s.dir)
	var said bytes.Buffer
	c.Stderr = &said
	// Not StdinPipe, which ends with the command: that would be without a word.
	in, alive, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	c.Stdin = in
	if err := c.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), alive.Close())
	}
	s.alive, s.ended = alive, make(chan struct{})
	go func() { _ = c.Wait(); close(s.ended) }() // how it ended does not matter
	return &said, nil
}

// answers returns when the server takes connections, or has ended.
func (s *Server) answers(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := pgx.Connect(ctx, s.URL())
		if err == nil {
			return c.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for PostgreSQL: %w", err)
		case <-s.ended:
			return errors.New("PostgreSQL ended")
		case <-tick.C:
		}
	}
}

// URL is where it is reached.
func (s *Server) URL() string {
	return "postgres://" + User + "@/postgres?host=" + url.QueryEscape(s.dir)
}

// Kill ends all of the server's processes at once, as a crash does, and returns
// when they are gone.
func (s *Server) Kill() error {
	pid, err := s.pid()
	if err != nil {
		return err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return fmt.Errorf("kill PostgreSQL: %w", err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill PostgreSQL: %w", err)
	}
	for _, child := range strings.Fields(string(children)) {
		n, err := strconv.Atoi(child)
		if err != nil {
			return err
		}
		if err := syscall.Kill(n, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill PostgreSQL's child: %w", err)
		}
	}
	s.leave()
	return nil
}

// leave ends the watch over a server that has ended; its files stay.
func (s *Server) leave() {
	_, _ = io.WriteString(s.alive, "keep\n")
	_ = s.alive.Close()
	<-s.ended
}

func (s *Server) pid() (int, error) {
	data, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return 0, fmt.Errorf("find PostgreSQL's process: %w", err)
	}
	first, _, _ := strings.Cut(string(data), "\n")
	return strconv.Atoi(first)
}

// Close ends it and takes its files away.
func (s *Server) Close() error {
	_ = s.alive.Close()
	<-s.ended
	if err := os.RemoveAll(s.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// shared, in the environment, is the URL of a server that another process
// started for this one.
const shared = "CODB_TEST_POSTGRES"

var once = sync.OnceValues(func() (string, error) {
	if at := os.Getenv(shared); at != "" {
		return at, nil
	}
	s, err := New() // it ends with this process
	if err != nil {
		return "", err
	}
	return s.URL(), os.Setenv(shared, s.URL())
})

// Shared is the URL of one server for all tests of a process and for its
// children.
func Shared() (string, error) { return once() }

// Schema makes a schema where there is none, and returns the URL with it as the
// place of all tables: what it holds is apart from everything else.
func Schema(ctx context.Context, at, name string) (string, error) {
	c, err := pgx.Connect(ctx, at)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", err
	}
	u, err := url.Parse(at)
	if err != nil {
		return "", err
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

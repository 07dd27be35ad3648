package sender

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// process is a program that is spoken to in lines. What it says on stderr goes
// to ours.
type process struct {
	name  string
	cmd   *exec.Cmd
	in    *os.File
	out   *os.File
	lines *bufio.Scanner
	count int // of lines read
}

func start(name string, command []string) (*process, error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the %s: %w", name, err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the %s: %w", name, err), theirIn.Close(), in.Close())
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirIn, theirOut, os.Stderr
	ownGroup(cmd)
	err = cmd.Start()
	err = errors.Join(err, theirIn.Close(), theirOut.Close())
	p := &process{name: name, cmd: cmd, in: in, out: out, lines: bufio.NewScanner(out)}
	p.lines.Buffer(make([]byte, 0, maxLine), maxLine)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: start the %s: %w", ErrUsage, name, err), in.Close(), out.Close())
	}
	return p, nil
}

// errLate says that it was too late to tell, and that nothing was told.
var errLate = errors.New("too late")

// tell hands over one line, whole, before the deadline or not at all.
func (p *process) tell(v any, by time.Time) error {
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write to the %s: %w", p.name, err)
	}
	if line.Len() > maxLine {
		return fmt.Errorf("write to the %s: the line has more than %d bytes", p.name, maxLine)
	}
	if !time.Now().Before(by) {
		return errLate
	}
	if err := p.in.SetWriteDeadline(by); err != nil {
		return fmt.Errorf("write to the %s: %w", p.name, err)
	}
	switch _, err := p.in.Write(line.Bytes()); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("write to the %s: it does not read", p.name)
	case err != nil:
		return fmt.Errorf("write to the %s: it does not read any more: %w", p.name, err)
	}
	return nil
}

// hear reads the next line into v; false is the end.
func (p *process) hear(v any) (bool, error) {
	if !p.lines.Scan() {
		if errors.Is(p.lines.Err(), bufio.ErrTooLong) {
			return false, fmt.Errorf("line %d of the %s has more than %d bytes", p.count+1, p.name, maxLine)
		}
		return false, nil // the end, however it came: the exit status says more
	}
	p.count++
	if err := json.Unmarshal(p.lines.Bytes(), v); err != nil {
		// Without the text of the error, which may repeat what the line holds.
		return false, fmt.Errorf("line %d of the %s is not the JSON that is expected: one object a line on stdout, everything else on stderr", p.count, p.name)
	}
	return true, nil
}

// end says that nothing more will come.
func (p *process) end() { _ = p.in.Close() }

// kill ends the program at once, with what it started.
func (p *process) kill() {
	killGroup(p.cmd)
	_ = p.out.SetReadDeadline(time.Now())
}

// wait returns how the program ended, which has said all that it will; it is
// killed if it does not end within the grace period.
func (p *process) wait(grace time.Duration) error {
	_ = p.out.Close()
	stuck := time.AfterFunc(grace, p.kill)
	defer stuck.Stop()
	err := p.cmd.Wait()
	if err != nil {
		return fmt.Errorf("the %s ended with %w", p.name, err)
	}
	return nil
}

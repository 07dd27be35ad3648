//go:build unix

package sender

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps signals that a terminal sends to everything in it from the
// program: we tell it when to end.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

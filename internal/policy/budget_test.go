package policy

import (
	"os/exec"
	"testing"
	"time"
)

// A machine that is busy with others must not have a good policy refused.
func TestTimeOfOthersDoesNotCount(t *testing.T) {
	const patience = 50 * time.Millisecond
	for name, c := range map[string]struct {
		command  []string
		computed time.Duration // at least, when it is over
		elapsed  time.Duration
	}{
		"ItComputes":                {[]string{"sh", "-c", "while :; do :; done"}, patience, patience},
		"ItNeverGetsToTheProcessor": {[]string{"sleep", "60"}, 0, slack * patience},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(c.command[0], c.command[1:]...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
			if _, known := processorOf(cmd.Process.Pid); !known {
				t.Skip("only Linux says how long a process has computed")
			}
			over, began := make(chan struct{}), time.Now()
			b := newBudget(cmd.Process.Pid, patience, func() { close(over) })
			<-over
			took := time.Since(began)
			if took < c.elapsed {
				t.Errorf("over after %s, want at least %s", took, c.elapsed)
			}
			// Where others leave it next to nothing, slack ends it.
			if used, _ := processorOf(cmd.Process.Pid); used < c.computed && took < slack*patience {
				t.Errorf("over when it had computed for %s, want at least %s", used, c.computed)
			}
			if b.end() {
				t.Error("it says that it was in time")
			}
		})
	}
}

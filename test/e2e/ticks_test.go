package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// everyTickIsDecided has a letter of every minute instead of every week. Two go
// out; after a withdrawal a tick comes that sends nothing; when the customer
// came back the next one does, and is the last of the three that the baseline
// policy allows in seven days.
func (c *cluster) everyTickIsDecided(t *testing.T) {
	c.apply(t, customer("c-weekly", "weekly"))
	m := c.marketer()
	m.apply(t, campaign("weekly", "weekly", `  schedule: {cron: "* * * * *"}
  workload: {cronJob: {image: "localhost/codb-busy:dev", command: [/busy, echo, the letter]}}`))
	m.until(t, "weekly", "Allowed/Running", m.campaign("weekly"))
	c.sent(t, "weekly", 1)
	c.sent(t, "weekly", 2)

	says := func(optOut string) {
		c.service().kubectl(t, "-n", "codb-customers", "patch", "cc", "c-weekly", "--type=merge", "-p", `{"spec":{"optOut":`+optOut+`}}`)
	}
	says(`{"since":"2026-03-02T09:00:00Z"}`)
	m.until(t, "weekly", "Blocked/Suspended", m.campaign("weekly"))
	before := m.runs("weekly")
	c.tick(t)
	if now := m.runs("weekly"); now != before {
		t.Errorf("after the withdrawal a tick changed the runs from %q to %q", before, now)
	}

	says("null")
	c.sent(t, "weekly", 3)
	m.until(t, "weekly", "Held/Suspended", m.campaign("weekly"))
	if why := m.field("camp", "weekly", ".status.why")(); !strings.Contains(why, "FrequencyCapping") {
		t.Errorf("why = %q, want the cap of three", why)
	}
}

// runs are the campaign's Jobs, with suspend and how many pods succeeded.
func (c *cluster) runs(campaign string) string {
	out, _ := c.run("-n", marketers, "get", "jobs", "-l", "consent.codb.dev/campaign="+campaign,
		"-o", `jsonpath={range .items[*]}{.metadata.name} {.spec.suspend} {.status.succeeded}{"\n"}{end}`)
	return out
}

// sent waits until that many of the campaign's Jobs are done, and wants that
// each took one pod.
func (c *cluster) sent(t *testing.T, campaign string, letters int) {
	t.Helper()
	c.wait(t, 150*time.Second, fmt.Sprintf("letter %d of %s", letters, campaign), func() (bool, string) {
		runs := c.runs(campaign)
		return strings.Count(runs, "false 1") == letters, runs
	})
	if pods := c.pods(campaign)(); pods != fmt.Sprint(letters) {
		t.Errorf("%d letters took %s pods", letters, pods)
	}
}

// tick waits until the CronJob controller has had its say in the next minute.
// A suspended CronJob does nothing, so that there is nothing to wait for but
// the clock.
func (c *cluster) tick(t *testing.T) {
	t.Helper()
	after := time.Now().Truncate(time.Minute).Add(time.Minute + 10*time.Second)
	c.wait(t, 2*time.Minute, "the next minute", func() (bool, string) { return time.Now().After(after), "" })
}

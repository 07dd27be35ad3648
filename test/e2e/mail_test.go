package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mailImage is that of the sample sender.
func (c *cluster) mailImage(t *testing.T) {
	t.Helper()
	source, err := filepath.Abs(filepath.Join(root, "hack", "mail"))
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	output(t, exec.Command("go", "-C", filepath.Join(root, "hack", "image"), "run", ".", "--root", source, "--programs", "mail", "--out", out, "--tag", "localhost/codb-mail:dev"))
	c.control(t, "load-image", "--name", c.name, filepath.Join(out, "mail.tar"))
}

// mailServer has a mailbox for each of the people, of whom the sender's resolver
// knows too.
func (c *cluster) mailServer(t *testing.T, people []string) {
	t.Helper()
	var boxes strings.Builder
	for _, id := range people {
		fmt.Fprintf(&boxes, "    %[1]s,%[1]s@mail.example\n", id)
	}
	for _, namespace := range []string{"mail", marketers} {
		c.apply(t, fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}", namespace),
			fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mailboxes, namespace: %s}\ndata:\n  mailboxes.csv: |\n%s", namespace, boxes.String()))
	}
	c.apply(t, mailPod)
	c.kubectl(t, "-n", "mail", "wait", "--for=condition=Ready", "--timeout=90s", "pod/smtp")
}

// delivered is whose mailboxes got mail, in order.
func (c *cluster) delivered() []string {
	out, err := c.run("-n", "mail", "logs", "smtp", "--tail=-1")
	if err != nil {
		return nil
	}
	var people []string
	for line := range strings.Lines(out) {
		id, _, ok := strings.Cut(line, "@mail.example ")
		if ok {
			people = append(people, id)
		}
	}
	return people
}

const mailPod = `
apiVersion: v1
kind: Pod
metadata: {name: smtp, namespace: mail, labels: {app: smtp}}
spec:
  containers:
  - name: smtp
    image: localhost/codb-mail:dev
    command: [/mail, serve, "--address=:2525", --first-takes=20s, /boxes/mailboxes.csv]
    readinessProbe: {tcpSocket: {port: 2525}, periodSeconds: 1}
    volumeMounts: [{name: boxes, mountPath: /boxes}]
  volumes:
  - {name: boxes, configMap: {name: mailboxes}}
---
apiVersion: v1
kind: Service
metadata: {name: smtp, namespace: mail}
spec:
  selector: {app: smtp}
  ports: [{port: 2525}]
`

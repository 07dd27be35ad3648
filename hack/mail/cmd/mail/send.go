package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// person is a line that codb-run writes.
type person struct {
	Permit   string `json:"permit"`
	Address  string `json:"address"`
	Topic    string `json:"topic"`
	Language string `json:"language"`
}

// outcome is a line that codb-run reads.
type outcome struct {
	Permit  string `json:"permit"`
	Outcome string `json:"outcome"`
	Detail  string `json:"detail,omitempty"`
}

// send mails to one person after the other. An error that leaves open whether a
// message was taken ends it without an outcome: codb then knows that it is
// unknown, and nobody gets the message twice.
func send(box *outbox, in io.Reader, out io.Writer) error {
	defer box.hangUp()
	people, outcomes := bufio.NewScanner(in), json.NewEncoder(out)
	for n := 1; people.Scan(); n++ {
		var p person
		if err := json.Unmarshal(people.Bytes(), &p); err != nil {
			return fmt.Errorf("line %d is no person", n)
		}
		o, err := box.post(p)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := outcomes.Encode(o); err != nil {
			return err
		}
	}
	return people.Err()
}

// outbox keeps one connection to the mail server.
type outbox struct {
	server, from string
	client       *smtp.Client
}

func (b *outbox) hangUp() {
	if b.client != nil {
		_ = b.client.Quit()
	}
}

// post sends one message. With an error nobody knows whether it went out.
func (b *outbox) post(p person) (outcome, error) {
	w, err := b.envelope(p.Address)
	if err != nil {
		return b.refused(p, err), nil // nothing of the message was sent
	}
	if _, err := io.WriteString(w, b.message(p)); err != nil {
		return outcome{}, lost(err)
	}
	var said *smtp.SMTPError
	err = w.Close()
	switch {
	case errors.As(err, &said):
		return b.refused(p, err), nil
	case err != nil:
		return outcome{}, lost(err)
	}
	return outcome{Permit: p.Permit, Outcome: "Sent"}, nil
}

// envelope gets the server as far as wanting the message; a connection that went
// stale is made anew.
func (b *outbox) envelope(to string) (io.WriteCloser, error) {
	if b.client != nil && b.client.Reset() != nil {
		_ = b.client.Close()
		b.client = nil
	}
	if b.client == nil {
		c, err := smtp.Dial(b.server)
		if err != nil {
			return nil, err
		}
		b.client = c
	}
	if err := b.client.Mail(b.from, nil); err != nil {
		return nil, err
	}
	if err := b.client.Rcpt(to, nil); err != nil {
		return nil, err
	}
	return b.client.Data()
}

// refused says how it failed, in numbers: the server's words may hold the address.
func (b *outbox) refused(p person, err error) outcome {
	o := outcome{Permit: p.Permit, Outcome: "Failed", Detail: "the mail server could not be reached"}
	var said *smtp.SMTPError
	if errors.As(err, &said) {
		c := said.EnhancedCode
		o.Detail = fmt.Sprintf("%d %d.%d.%d", said.Code, c[0], c[1], c[2])
		if said.Code == 550 {
			o.Outcome = "HardBounce"
		}
	}
	return o
}

// lost keeps the address out of the error.
func lost(error) error {
	return errors.New("the connection broke while a message was under way: whether it was taken is unknown")
}

func (b *outbox) message(p person) string {
	subject := "News on " + strings.ToLower(p.Topic)
	if strings.HasPrefix(p.Language, "de") {
		subject = "Neues für Sie: " + p.Topic
	}
	_, domain, _ := strings.Cut(b.from, "@")
	return strings.Join([]string{
		"From: " + b.from,
		"To: " + p.Address,
		"Subject: " + mime.QEncoding.Encode("utf-8", subject),
		"Date: " + time.Now().UTC().Format(time.RFC1123Z),
		"Message-ID: <" + p.Permit + "@" + domain + ">",
		"MIME-Version: 1.0",
		"Content-Type: text/plain; charset=utf-8",
		"", "You asked us for this.", "",
	}, "\r\n")
}

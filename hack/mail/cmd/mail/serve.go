package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/mail"
	"strings"
	"sync"

	"github.com/emersion/go-smtp"
)

// serve takes mail for the known mailboxes until ctx ends, and writes a line for
// each message: the mailbox and the message's id.
func serve(ctx context.Context, l net.Listener, known map[string]string, out io.Writer) error {
	office := &postOffice{boxes: map[string]bool{}, out: out}
	for _, address := range known {
		office.boxes[address] = true
	}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{office: office}, nil }))
	s.Domain = "mail.example"
	s.MaxMessageBytes = 1 << 20
	s.MaxRecipients = 1
	stop := context.AfterFunc(ctx, func() { // the listener too: the server knows it only once it serves
		_ = s.Close()
		_ = l.Close()
	})
	defer stop()
	if err := s.Serve(l); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

type postOffice struct {
	boxes map[string]bool
	mu    sync.Mutex
	out   io.Writer
}

// session is one client's.
type session struct {
	office *postOffice
	to     string
}

func (s *session) Reset()                               { s.to = "" }
func (s *session) Logout() error                        { return nil }
func (s *session) Mail(string, *smtp.MailOptions) error { return nil }

// Rcpt knows its mailboxes.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if !s.office.boxes[to] {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "there is no mailbox " + to}
	}
	s.to = to
	return nil
}

// Data puts the message into the mailbox.
func (s *session) Data(r io.Reader) error {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "this is no message"}
	}
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	_, err = fmt.Fprintf(s.office.out, "%s %s\n", s.to, strings.Trim(m.Header.Get("Message-ID"), "<>"))
	return err
}

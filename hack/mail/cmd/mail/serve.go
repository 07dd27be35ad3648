package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/mail"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// serve takes mail until ctx ends.
func serve(ctx context.Context, l net.Listener, office *postOffice) error {
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{office: office}, nil }))
	s.Domain = "mail.example"
	s.MaxMessageBytes = 1 << 20
	s.MaxRecipients = 1
	s.ErrorLog = log.New(io.Discard, "", 0) // of probes that say nothing
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

// postOffice has mailboxes, and writes a line for each message that comes: the
// mailbox and the message's id.
type postOffice struct {
	boxes map[string]bool
	first time.Duration // that it takes over its first message
	once  sync.Once
	mu    sync.Mutex
	out   io.Writer
}

func boxes(known map[string]string) map[string]bool {
	all := map[string]bool{}
	for _, address := range known {
		all[address] = true
	}
	return all
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
	_, err = fmt.Fprintf(s.office.out, "%s %s\n", s.to, strings.Trim(m.Header.Get("Message-ID"), "<>"))
	s.office.mu.Unlock()
	s.office.once.Do(func() { <-time.After(s.office.first) })
	return err
}

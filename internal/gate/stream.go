package gate

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"
)

const (
	streamPath = "/v1/permits/stream"
	streamKind = "application/x-ndjson"
	// maxStreams is how many streams are open at once, and maxInFlight how many
	// questions of one are answered at once; more are not read.
	maxStreams, maxInFlight = 256, 8
	// streamIdle is how long a stream may be silent.
	streamIdle = 2 * time.Minute
)

// streamed is a question of a stream: one of four, as they are asked one by one.
type streamed struct {
	ID      string          `json:"id"`
	Draw    *drawRequest    `json:"draw,omitempty"`
	Redeem  *redeemRequest  `json:"redeem,omitempty"`
	Report  *reportRequest  `json:"report,omitempty"`
	Release *releaseRequest `json:"release,omitempty"`
}

// streamAnswer answers the question with the same id.
type streamAnswer struct {
	ID      string           `json:"id"`
	Draw    *Drawn           `json:"draw,omitempty"`
	Redeem  *redeemResponse  `json:"redeem,omitempty"`
	Report  *reportResponse  `json:"report,omitempty"`
	Release *releaseResponse `json:"release,omitempty"`
	Problem *Problem         `json:"problem,omitempty"`
}

var streamID = regexp.MustCompile(`^[\x21-\x7E]{1,64}$`)

// check says what is asked.
func (q *streamed) check() (verb string, err error) {
	for name, asked := range map[string]bool{"draw": q.Draw != nil, "redeem": q.Redeem != nil, "report": q.Report != nil, "release": q.Release != nil} {
		switch {
		case asked && verb != "":
			return "", invalid(name, "", "ask one thing a line")
		case asked:
			verb = name
		}
	}
	switch {
	case !streamID.MatchString(q.ID):
		return "", invalid("id", "", "1 to 64 characters of ASCII without blanks")
	case verb == "":
		return "", invalid("draw", "", "ask for one of draw, redeem, report and release")
	}
	return verb, nil
}

// conversation is one stream.
type conversation struct {
	server *Server
	token  string
	remote string
	lines  *bufio.Scanner
	out    *http.ResponseController
	flight chan struct{}

	mu     sync.Mutex // guards writing, and broken
	w      io.Writer
	broken error
}

// stream is POST /v1/permits/stream.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, _ Holder) error {
	if r.ProtoMajor < 2 {
		return &Problem{Type: ProblemInvalid, Title: "The request is not valid", Status: http.StatusHTTPVersionNotSupported, Remedy: "speak HTTP/2: answers come while you ask"}
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != streamKind {
		return &Problem{Type: ProblemMediaType, Title: "Not lines of JSON", Status: http.StatusUnsupportedMediaType, Remedy: "send " + streamKind}
	}
	if _, err := parameters(r); err != nil {
		return err
	}
	free, err := s.slot(r.Context(), s.streams)
	if err != nil {
		return err
	}
	defer free()
	c := &conversation{
		server: s, token: bearer(r), remote: remoteHost(r), lines: bufio.NewScanner(r.Body),
		out: http.NewResponseController(w), flight: make(chan struct{}, maxInFlight), w: w,
	}
	c.lines.Buffer(make([]byte, 0, 4096), maxPermitBody)
	w.Header().Set("Content-Type", streamKind)
	if err := errors.Join(c.out.SetWriteDeadline(time.Time{}), c.out.Flush()); err != nil {
		return err
	}
	c.hold(r.Context())
	return nil // whatever went wrong was said in the stream, or nobody listens
}

// hold answers lines until there are no more, nobody listens, or the gate goes
// away; then what was asked is still answered.
func (c *conversation) hold(ctx context.Context) {
	var watch, asked sync.WaitGroup
	ended := make(chan struct{})
	watch.Go(func() { // a gate that goes away reads no further line
		select {
		case <-c.server.draining:
			_ = c.out.SetReadDeadline(time.Now())
		case <-ended:
		}
	})
	defer func() { // nothing of the response may be touched after the handler's end
		asked.Wait()
		close(ended)
		watch.Wait()
	}()
	for c.next(ctx) {
		var q streamed
		verb, err := "", strictly(c.lines.Bytes(), &q)
		if err == nil {
			verb, err = q.check()
		}
		if err != nil { // whoever errs in this may err in all
			c.say(&streamAnswer{ID: q.ID, Problem: problem(err)})
			return
		}
		c.flight <- struct{}{} // and nothing more is read meanwhile
		asked.Go(func() {
			defer func() { <-c.flight }()
			c.answer(ctx, verb, &q)
		})
	}
}

func (c *conversation) next(ctx context.Context) bool {
	if ctx.Err() != nil || c.failed() != nil {
		return false
	}
	if err := c.out.SetReadDeadline(time.Now().Add(streamIdle)); err != nil {
		return false
	}
	select {
	case <-c.server.draining: // and perhaps the deadline that says so was just put off
		return false
	default:
	}
	if c.lines.Scan() {
		return true
	}
	if errors.Is(c.lines.Err(), bufio.ErrTooLong) {
		c.say(&streamAnswer{Problem: &Problem{
			Type: ProblemTooLarge, Title: "The request is too large", Status: http.StatusRequestEntityTooLarge, Field: "body",
			Remedy: "send at most " + strconv.Itoa(maxPermitBody) + " bytes a line",
		}})
	}
	return false
}

// answer finds out anew who asks: a token may have expired, and a pod be gone,
// since the stream was opened.
func (c *conversation) answer(ctx context.Context, verb string, q *streamed) {
	began, s := time.Now(), c.server
	a := &streamAnswer{ID: q.ID}
	h, err := s.admitPod(ctx, http.MethodPost+" "+streamPath, c.token, c.remote)
	if err == nil {
		switch verb {
		case "draw":
			a.Draw, err = s.drawn(ctx, h, q.Draw)
		case "redeem":
			a.Redeem, err = s.redeemed(ctx, h, q.Redeem)
		case "report":
			a.Report, err = s.reported(ctx, h, q.Report)
		case "release":
			a.Release, err = s.released(ctx, h, q.Release)
		}
	}
	code := http.StatusOK
	if err != nil {
		p := problem(err)
		a, code = &streamAnswer{ID: q.ID, Problem: p}, p.Status
	}
	s.metrics.observe(http.MethodPost+" "+streamPath+" "+verb, strconv.Itoa(code), time.Since(began))
	c.say(a)
	if a.Draw != nil && c.failed() != nil {
		if err := s.unheard(ctx, a.Draw); err != nil {
			s.log.Error(err, "permits that nobody heard of expire")
		}
	}
}

// say writes an answer, if somebody listens.
func (c *conversation) say(a *streamAnswer) {
	line, err := json.Marshal(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return
	}
	if err == nil {
		err = c.out.SetWriteDeadline(time.Now().Add(requestTime))
	}
	if err == nil {
		_, err = c.w.Write(append(line, '\n'))
	}
	if err == nil {
		err = errors.Join(c.out.Flush(), c.out.SetWriteDeadline(time.Time{}))
	}
	c.broken = err
}

func (c *conversation) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

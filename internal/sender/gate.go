package sender

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// maxAnswer bounds what is read of an answer: 1,000 permits need much less.
	maxAnswer = 4 << 20
	// maxBatch is how many permits one request may name.
	maxBatch = 1000
	// answerTime is what an answer may take beyond the wait that was asked for.
	answerTime = 20 * time.Second
	// shortestPause and longestPause bound what Retry-After may ask for.
	shortestPause, longestPause = 100 * time.Millisecond, time.Minute
)

// gate is the door, as a pod sees it.
type gate struct {
	base      *url.URL
	authority string // file
	token     string // file
	patience  time.Duration
	trouble   func(verb string, err error) // is told of each failed try, and with nil of success

	mu    sync.Mutex
	roots []byte // what http was made with
	http  *http.Client
}

func newGate(o *Options) (*gate, error) {
	base, err := url.Parse(o.Gate)
	if err != nil || base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("%w: the gate's address %q: want https://host:port", ErrUsage, o.Gate)
	}
	return &gate{base: base, authority: o.CA, token: o.Token, patience: o.Patience, trouble: o.Progress.troubled}, nil
}

// pauses begin with 0.1 s and end with 10 s, each up to half as long or short
// again, so that pods that lost the gate together don't come back together.
func pauses() backoff.BackOff {
	return &backoff.ExponentialBackOff{InitialInterval: firstPause, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: 10 * time.Second}
}

// firstPause is shorter in tests.
var firstPause = 100 * time.Millisecond

// draw asks for people, and waits at the gate until there are some.
func (g *gate) draw(ctx context.Context, most int, wait time.Duration) (drawAnswer, error) {
	var a drawAnswer
	if _, err := g.call(ctx, "draw", drawRequest{Max: most, Wait: wait.String()}, &a, wait+answerTime); err != nil {
		return a, err
	}
	if len(a.Permits) > most {
		return a, fmt.Errorf("draw permits: asked for %d, got %d", most, len(a.Permits))
	}
	return a, nil
}

// redemption is the answer for a batch of permits.
type redemption struct {
	results map[string]redeemed
	// asked is when the question was sent, and allowed how long after it the
	// permits may be handed over, by the gate's own clock.
	asked   time.Time
	allowed func(redeemed) time.Duration
	// again says that an earlier answer was lost.
	again bool
}

func (g *gate) redeem(ctx context.Context, permits []string) (redemption, error) {
	var a redeemAnswer
	last, err := g.call(ctx, "redeem", redeemRequest{Permits: permits}, &a, answerTime)
	if err != nil {
		return redemption{}, err
	}
	r := redemption{results: map[string]redeemed{}, asked: last.at, again: last.number > 1, allowed: func(r redeemed) time.Duration {
		return r.HandOverBy.Sub(last.gateTime)
	}}
	for _, result := range a.Results {
		r.results[result.Permit] = result
	}
	return r, nil
}

func (g *gate) release(ctx context.Context, permits []string) ([]given, error) {
	var a releaseAnswer
	if _, err := g.call(ctx, "release", releaseRequest{Permits: permits}, &a, answerTime); err != nil {
		return nil, err
	}
	return a.Results, nil
}

func (g *gate) report(ctx context.Context, o []outcome) ([]recorded, error) {
	var a reportAnswer
	if _, err := g.call(ctx, "report", reportRequest{Outcomes: o}, &a, answerTime); err != nil {
		return nil, err
	}
	return a.Results, nil
}

// attempt is one of several tries of a call.
type attempt struct {
	number int
	at     time.Time
	// gateTime is not before what the gate's clock showed at the time at.
	gateTime time.Time
}

// call asks the gate, again and again while that may help.
func (g *gate) call(ctx context.Context, verb string, question, answer any, limit time.Duration) (attempt, error) {
	body, err := json.Marshal(question)
	if err != nil {
		return attempt{}, fmt.Errorf("%s permits: %w", verb, err)
	}
	var last attempt
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		last.number++
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return struct{}{}, g.once(ctx, &last, verb, body, answer)
	}, backoff.WithBackOff(pauses()), backoff.WithMaxElapsedTime(g.patience), backoff.WithNotify(func(err error, _ time.Duration) { g.trouble(verb, err) }))
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return last, fmt.Errorf("%s permits at the gate: %w", verb, err)
	}
	g.trouble(verb, nil)
	return last, nil
}

func (g *gate) once(ctx context.Context, last *attempt, verb string, body []byte, answer any) error {
	client, token, err := g.ready()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.base.JoinPath("/v1/permits", verb).String(), bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	last.at = time.Now()
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", g.base.Host, bare(err))
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if len(data) > maxAnswer {
		return backoff.Permanent(fmt.Errorf("the answer has more than %d bytes", maxAnswer))
	}
	last.gateTime = gateTime(res.Header, time.Now())
	if res.StatusCode != http.StatusOK {
		return refusal(res, data, g.rotated(token))
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return backoff.Permanent(errors.New("the answer is not the JSON that the API promises")) // whose text may hold principals
	}
	return nil
}

// gateTime is the latest that the gate's clock can have shown when it began to
// answer, at most a second more than it was: the header has whole seconds.
// Where there is none, the gate's clock is taken to be ours.
func gateTime(h http.Header, now time.Time) time.Time {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		return date.Add(time.Second)
	}
	return now
}

// bare leaves out the address that the client puts into its errors.
func bare(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// ready reads the files, which are replaced while we run.
func (g *gate) ready() (*http.Client, string, error) {
	token, err := os.ReadFile(g.token)
	if err != nil {
		return nil, "", fmt.Errorf("read the pod's token: %w", err)
	}
	roots, err := os.ReadFile(g.authority)
	if err != nil {
		return nil, "", fmt.Errorf("read the gate's authority: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.http == nil || !bytes.Equal(roots, g.roots) {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(roots) {
			return nil, "", fmt.Errorf("read the gate's authority: %s holds no PEM certificate", g.authority)
		}
		g.roots, g.http = roots, &http.Client{
			// No proxy: the gate is a neighbour, and tokens don't go elsewhere.
			Transport: &http.Transport{
				TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13},
				ForceAttemptHTTP2:   true,
				TLSHandshakeTimeout: 5 * time.Second,
				IdleConnTimeout:     time.Minute,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return g.http, strings.TrimSpace(string(token)), nil
}

// rotated says that the file has another token by now.
func (g *gate) rotated(used string) bool {
	token, err := os.ReadFile(g.token)
	return err == nil && strings.TrimSpace(string(token)) != used
}

// refusal tells what may pass from what may not. The gate's own words are kept:
// they hold no principals.
func refusal(res *http.Response, data []byte, rotated bool) error {
	var p problem
	if json.Unmarshal(data, &p) != nil || p.Title == "" {
		p = problem{Title: "the gate answered with an error"}
	}
	text := fmt.Sprintf("%s (HTTP %d)", p.Title, res.StatusCode)
	for _, more := range []string{p.Detail, p.Remedy} {
		if more != "" {
			text += ": " + more
		}
	}
	err := errors.New(printable(text, 512))
	switch res.StatusCode {
	case http.StatusUnauthorized:
		if rotated {
			return err
		}
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusInsufficientStorage:
		if pause, ok := retryAfter(res.Header, time.Now()); ok {
			return &later{err, backoff.RetryAfterError{Duration: pause}}
		}
		return err
	}
	return backoff.Permanent(err)
}

// later is an error with the pause that the gate asked for.
type later struct {
	error
	pause backoff.RetryAfterError
}

func (l *later) Unwrap() []error { return []error{l.error, &l.pause} }

// retryAfter is when the gate wants to be asked again, within reason, and not
// by all pods at the same moment.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	var pause time.Duration
	v := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(v); err == nil && seconds >= 0 {
		pause = time.Duration(min(seconds, 3600)) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		pause = at.Sub(now)
	} else {
		return 0, false
	}
	pause = min(max(pause, shortestPause), longestPause)
	return pause + rand.N(pause/2), true
}

// printable cuts what others wrote, and takes control characters out of it.
func printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if r := []rune(s); len(r) > most {
		s = string(r[:most-3]) + "..."
	}
	return s
}

package gate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/pause"
)

var (
	// ErrUnreachable says that the gate has not answered for a while; what is
	// known of contacts may be out of date.
	ErrUnreachable = errors.New("the gate does not answer")
	// ErrIncomplete says that not all contacts are known yet.
	ErrIncomplete = errors.New("the contacts are not complete yet")
)

// ClientOptions say how to reach a gate.
type ClientOptions struct {
	// URL of the gate, https://host:port.
	URL string
	// CA in PEM that signed the gate's certificate.
	CA []byte
	// Token returns a bearer token made for Audience. It is asked at each request.
	Token func(context.Context) (string, error)
	// Wait is how long one question for news waits at the gate. Zero: 5 s.
	Wait time.Duration
	// MaxAge is how long the latest answer counts as news. Zero: 15 s.
	MaxAge time.Duration
	// Clock tells the time. Nil: the system's.
	Clock func() time.Time
	// Metrics takes the client's metrics. Nil: none.
	Metrics prometheus.Registerer
}

// Client speaks to a gate. All methods may be called concurrently.
type Client struct {
	base    *url.URL
	http    *http.Client
	token   func(context.Context) (string, error)
	wait    time.Duration
	maxAge  time.Duration
	clock   func() time.Time
	metrics *clientMetrics

	mu       sync.Mutex
	answered time.Time // when the gate last answered the feed
	complete bool      // the projection has held all there was, and was never out of touch since
	failure  error     // why the latest question was not answered
}

const (
	maxWait     = time.Minute
	maxResponse = 32 << 20
	feedLimit   = contacts.MaxBatch
	// answerTime is what an answer may take beyond the wait that was asked for.
	answerTime = 10 * time.Second
	// quiet is how long a connection may bring nothing before it is asked whether
	// it lives, and how long it may take to say so.
	quiet = 2 * time.Second
)

// NewClient makes a client; it does not call the gate yet.
func NewClient(o ClientOptions) (*Client, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("gate address %q: want https://host:port", o.URL)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(o.CA) {
		return nil, fmt.Errorf("gate %s: the CA holds no PEM certificate", base.Host)
	}
	if o.Token == nil {
		return nil, fmt.Errorf("gate %s: no source of tokens", base.Host)
	}
	transport := &http.Transport{
		// No proxy: the gate is a neighbour, and tokens don't go elsewhere.
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13},
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: 5 * time.Second,
		IdleConnTimeout:     time.Minute,
		// A connection whose packets are lost, as when the gate's node dies, would
		// else be used for as long as TCP tries: a quarter of an hour.
		HTTP2: &http.HTTP2Config{SendPingTimeout: quiet, PingTimeout: quiet},
	}
	c := &Client{
		base: base, token: o.Token, clock: o.Clock,
		wait: o.Wait, maxAge: o.MaxAge, metrics: newClientMetrics(o.Metrics),
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if c.clock == nil {
		c.clock = time.Now
	}
	if c.wait == 0 {
		c.wait = 5 * time.Second
	}
	c.wait = min(c.wait, maxWait)
	if c.maxAge == 0 {
		c.maxAge = 3 * c.wait
	}
	return c, nil
}

// Append appends the records, in batches, and returns a result for each. It
// retries what may pass, with the same keys, so that nothing is recorded twice.
// With an error some batches may have been appended: send the same again.
func (c *Client) Append(ctx context.Context, records []contacts.Record) ([]contacts.Result, error) {
	return c.appendBatches(ctx, records, func(batch []contacts.Record) appendRequest { return appendRequest{Records: batch} })
}

// AppendSeen is Append for what was decided on customers' past as of a position:
// the results say which records were not appended, because the customer has a
// later one. Of each customer there is one record.
func (c *Client) AppendSeen(ctx context.Context, records []contacts.Record, seen contacts.Position) ([]contacts.Result, error) {
	return c.appendBatches(ctx, records, func(batch []contacts.Record) appendRequest {
		return appendRequest{Records: batch, Ledger: seen.Ledger, Seen: slices.Repeat([]uint64{seen.Sequence}, len(batch))}
	})
}

func (c *Client) appendBatches(ctx context.Context, records []contacts.Record, request func([]contacts.Record) appendRequest) ([]contacts.Result, error) {
	results := make([]contacts.Result, 0, len(records))
	for batch := range slices.Chunk(records, contacts.MaxBatch) {
		body, err := json.Marshal(request(batch))
		if err != nil {
			return nil, fmt.Errorf("append contacts: %w", err)
		}
		var answer appendResponse
		if err := c.retry(ctx, func(ctx context.Context) error {
			return c.call(ctx, http.MethodPost, "/v1/contacts", nil, body, &answer)
		}); err != nil {
			return nil, fmt.Errorf("append contacts: %w", err)
		}
		if len(answer.Results) != len(batch) {
			return nil, fmt.Errorf("append contacts: sent %d records, got %d results", len(batch), len(answer.Results))
		}
		results = append(results, answer.Results...)
	}
	return results, nil
}

// Contacts lists the latest records of one customer, the newest first.
func (c *Client) Contacts(ctx context.Context, principal string, since time.Time, limit int) ([]contacts.Record, error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if !since.IsZero() {
		q.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	var answer principalResponse
	err := c.retry(ctx, func(ctx context.Context) error {
		return c.call(ctx, http.MethodGet, "/v1/contacts/"+url.PathEscape(principal), q, nil, &answer)
	})
	if err != nil {
		return nil, fmt.Errorf("list contacts of a customer: %w", err)
	}
	return answer.Records, nil
}

// Feed keeps the projection up to date until ctx is done, and returns nil then.
// It is to be called once for a client.
func (c *Client) Feed(ctx context.Context, p *contacts.Projection) error {
	backoff := retries()
	forgotten := c.clock()
	for ctx.Err() == nil {
		err := c.advance(ctx, p)
		if err == nil {
			backoff = retries()
			if now := c.clock(); now.Sub(forgotten) > time.Hour {
				p.Forget(now)
				forgotten = now
			}
			continue
		}
		if ctx.Err() != nil {
			break
		}
		c.note(err)
		if errors.Is(err, contacts.ErrReplaced) {
			p.Reset()
		}
		pause.For(ctx, backoff.Step())
	}
	return nil
}

// advance asks once for what follows, and applies it.
func (c *Client) advance(ctx context.Context, p *contacts.Projection) error {
	wait := c.wait
	if c.Healthy() != nil {
		wait = 0 // the first answer says how far there is to go
	}
	page, err := c.page(ctx, p.Position().Sequence, feedLimit, wait)
	if err != nil {
		return err
	}
	if err := p.Apply(page); err != nil {
		return err
	}
	pos, now := p.Position(), c.clock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.answered) > c.maxAge {
		c.complete = false
	}
	c.answered, c.failure = now, nil
	c.complete = c.complete || pos.Sequence >= page.Sequence
	c.metrics.applied(pos.Sequence, page.Sequence)
	return nil
}

// note keeps why the feed does not move.
func (c *Client) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure = err
	c.metrics.failed()
	if errors.Is(err, contacts.ErrReplaced) {
		c.complete = false
	}
}

// Healthy is nil while the projection that Feed keeps holds all contacts and
// the gate answers. With an error nobody knows how often somebody was contacted
// lately, and nothing may be released.
func (c *Client) Healthy() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answered.IsZero() || c.clock().Sub(c.answered) > c.maxAge {
		if c.failure != nil {
			return fmt.Errorf("%w: %w", ErrUnreachable, c.failure)
		}
		return ErrUnreachable
	}
	if !c.complete {
		return ErrIncomplete
	}
	return nil
}

// Synced says whether Healthy is nil.
func (c *Client) Synced() bool { return c.Healthy() == nil }

// Fence asks the gate for its sequence and returns when the projection, which
// Feed keeps, has come that far: whatever was acknowledged before the call is in
// it then.
func (c *Client) Fence(ctx context.Context, p *contacts.Projection) (contacts.Position, error) {
	var now contacts.Page
	err := c.retry(ctx, func(ctx context.Context) (err error) {
		now, err = c.page(ctx, 0, 0, 0)
		return err
	})
	if err != nil {
		return contacts.Position{}, fmt.Errorf("ask the gate how far it is: %w", err)
	}
	for {
		pos, moved := p.Moved()
		if pos.Ledger == now.Ledger && pos.Sequence >= now.Sequence {
			return pos, nil
		}
		select {
		case <-ctx.Done():
			return pos, fmt.Errorf("wait for contacts up to sequence %d, at %d: %w", now.Sequence, pos.Sequence, ctx.Err())
		case <-moved:
		}
	}
}

// After returns up to limit records that follow the sequence, in order.
func (c *Client) After(ctx context.Context, sequence uint64, limit int) (page contacts.Page, err error) {
	err = c.retry(ctx, func(ctx context.Context) (err error) {
		page, err = c.page(ctx, sequence, limit, 0)
		return err
	})
	return page, err
}

func (c *Client) page(ctx context.Context, after uint64, limit int, wait time.Duration) (contacts.Page, error) {
	q := url.Values{
		"after": {strconv.FormatUint(after, 10)}, "limit": {strconv.Itoa(limit)}, "wait": {wait.String()},
	}
	ctx, cancel := context.WithTimeout(ctx, wait+answerTime)
	defer cancel()
	var page contacts.Page
	err := c.call(ctx, http.MethodGet, "/v1/contacts", q, nil, &page)
	return page, err
}

func (c *Client) call(ctx context.Context, method, path string, q url.Values, body []byte, into any) error {
	token, err := c.token(ctx)
	if err != nil {
		return fmt.Errorf("get a token for the gate: %w", err)
	}
	u := c.base.JoinPath(path)
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call the gate: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) { // its text has the whole address, and that a principal
			err = ue.Err
		}
		return fmt.Errorf("call the gate at %s: %w", c.base.Host, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxResponse+1))
	if err != nil {
		return fmt.Errorf("read the gate's answer: %w", err)
	}
	if len(data) > maxResponse {
		return fmt.Errorf("read the gate's answer: it has more than %d bytes", maxResponse)
	}
	return decodeAnswer(res, data, into)
}

func decodeAnswer(res *http.Response, data []byte, into any) error {
	if res.StatusCode != http.StatusOK {
		p := &Problem{}
		if json.Unmarshal(data, p) != nil || p.Title == "" {
			p = &Problem{Title: "The gate answered with an error"}
		}
		p.Status = res.StatusCode
		return p
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("read the gate's answer: %w", err)
	}
	return nil
}

// retry calls again what may pass, a bounded number of times.
func (c *Client) retry(ctx context.Context, f func(context.Context) error) error {
	for backoff := retries(); ; {
		attempt, cancel := context.WithTimeout(ctx, 3*answerTime)
		err := f(attempt)
		cancel()
		var p *Problem
		if err == nil || ctx.Err() != nil || backoff.Steps == 0 || (errors.As(err, &p) && !p.temporary()) {
			return err
		}
		pause.For(ctx, backoff.Step())
	}
}

// retries are five, of 3 s together; a feed goes on with the last pause.
func retries() wait.Backoff {
	return wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 5, Cap: 2 * time.Second}
}

package postgres

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy is a bad network before a server.
type Proxy struct {
	listener net.Listener
	backend  string // path of the server's socket
	at       string

	// Latency is what each message takes each way.
	Latency atomic.Int64
	// Resets is how many messages in 1,000 end their connection instead of
	// arriving.
	Resets atomic.Int64
	// Down lets nobody in and cuts everybody off.
	down atomic.Bool

	mu       sync.Mutex
	replaced [][2][]byte
	stalls   []byte // what stalls a connection when it comes by
	passes   int    // how often it comes by before
	open     map[net.Conn]bool
	wg       sync.WaitGroup
}

// NewProxy puts a proxy before the server at a URL of this package.
func NewProxy(at string) (*Proxy, error) {
	u, err := url.Parse(at)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	q := u.Query()
	p := &Proxy{listener: l, backend: q.Get("host") + "/.s.PGSQL.5432", open: map[net.Conn]bool{}}
	q.Del("host")
	q.Set("sslmode", "disable")
	u.Host, u.RawQuery = l.Addr().String(), q.Encode()
	p.at = u.String()
	p.wg.Go(p.accept)
	return p, nil
}

// URL is where the server is reached through the proxy.
func (p *Proxy) URL() string { return p.at }

// Replace makes the server read other words than clients write, of the same
// length.
func (p *Proxy) Replace(old, by string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replaced = append(p.replaced, [2][]byte{[]byte(old), []byte(by)})
}

// Stall lets a client's word come by so many times. What has it next, and all
// that follows on its connection, arrives nowhere, as from a process that is
// paused.
func (p *Proxy) Stall(word string, passes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalls, p.passes = []byte(word), passes
}

// stalled says whether a connection stalls here.
func (p *Proxy) stalled(b []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalls == nil || !bytes.Contains(b, p.stalls) {
		return false
	}
	if p.passes--; p.passes >= 0 {
		return false
	}
	p.stalls = nil
	return true
}

// Down takes the server off the network, or brings it back.
func (p *Proxy) Down(down bool) {
	p.down.Store(down)
	if down {
		p.cut()
	}
}

func (p *Proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		reset(c)
	}
}

// reset ends a connection so that the other side hears of an error.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// Close ends it with all connections.
func (p *Proxy) Close() error {
	p.Down(true)
	err := p.listener.Close()
	p.wg.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		p.wg.Go(func() { p.serve(c) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	server, err := net.Dial("unix", p.backend)
	if err != nil {
		reset(client)
		return
	}
	p.mu.Lock()
	p.open[client], p.open[server] = true, true
	p.mu.Unlock()
	if p.down.Load() {
		reset(client)
	}
	ways := make(chan struct{}, 2)
	go func() { p.carry(server, client, p.changed); ways <- struct{}{} }()
	go func() { p.carry(client, server, func(b []byte) []byte { return b }); ways <- struct{}{} }()
	<-ways
	reset(client) // one side is gone
	reset(server)
	<-ways
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, client)
	delete(p.open, server)
}

func (p *Proxy) changed(b []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.replaced {
		b = bytes.ReplaceAll(b, r[0], r[1])
	}
	return b
}

// carry takes what arrives from one side to the other until one of them ends.
func (p *Proxy) carry(to io.Writer, from io.Reader, change func([]byte) []byte) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if late := time.Duration(p.Latency.Load()); late > 0 {
			<-time.After(late)
		}
		if rand.Int64N(1000) < p.Resets.Load() {
			return
		}
		if p.stalled(b[:n]) {
			_, _ = io.Copy(io.Discard, from) // until somebody gives the connection up
			return
		}
		if _, err := to.Write(change(b[:n])); err != nil {
			return
		}
	}
}

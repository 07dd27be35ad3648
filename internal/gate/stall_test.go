package gate

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestAConnectionThatLosesItsPacketsIsGivenUp: nobody says that the gate has
// gone, as when its node dies or a network policy changes under a connection.
// The client finds out by itself, and another connection works.
func TestAConnectionThatLosesItsPacketsIsGivenUp(t *testing.T) {
	h := newHouse(t)
	road := lay(t, strings.TrimPrefix(h.listener.URL(), "https://"))
	c := h.client(func(o *ClientOptions) { o.URL = "https://" + road.address })
	appendN(t, c, 0, 1)
	road.lost.Store(road.connections.Load())
	started := time.Now()
	appendN(t, c, 1, 2)
	if took := time.Since(started); took > 8*time.Second || road.connections.Load() < 2 {
		t.Errorf("appended after %s over %d connections, want a new one within 8s", took, road.connections.Load())
	}
}

// road leads to an address. What the first connections up to lost carry
// vanishes, in both directions, and nobody is told.
type road struct {
	address           string
	connections, lost atomic.Int32
}

func lay(t *testing.T, to string) *road {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	r := &road{address: l.Addr().String()}
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", to)
			if err != nil {
				t.Error(err)
				return
			}
			n := r.connections.Add(1)
			go r.carry(n, from, there)
			go r.carry(n, there, from)
		}
	}()
	return r
}

func (r *road) carry(n int32, from, to net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		got, err := from.Read(buf)
		if r.lost.Load() < n {
			if _, werr := to.Write(buf[:got]); werr != nil || errors.Is(err, io.EOF) {
				_ = to.Close()
				return
			}
		}
		if err != nil {
			return
		}
	}
}

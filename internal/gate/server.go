package gate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/codb-dev/codb/api/v1alpha1"
	"github.com/codb-dev/codb/internal/contacts"
)

// Ledger is what the gate opens the door to; see ledger.Store.
type Ledger interface {
	ID() string
	Append(ctx context.Context, records []contacts.Record) ([]contacts.Result, error)
	AppendIf(ctx context.Context, records []contacts.Record, seen map[string]uint64) ([]contacts.Result, error)
	After(ctx context.Context, sequence uint64, limit int) (contacts.Page, error)
	ByPrincipal(ctx context.Context, principal string, since time.Time, limit int) ([]contacts.Record, error)
	Sequence() uint64
	Wait(ctx context.Context, sequence uint64) error
}

// ServerOptions say what a Server serves to whom. Ledger and Authenticator are
// required.
type ServerOptions struct {
	Ledger        Ledger
	Authenticator Authenticator
	// Clock tells the time. Nil: the system's.
	Clock func() time.Time
	// Log takes who was refused, and what failed.
	Log logr.Logger
	// Metrics takes the server's metrics. Nil: none.
	Metrics prometheus.Registerer
}

// Server answers the API. It is an http.Handler, and Serve runs it with TLS.
type Server struct {
	ledger  Ledger
	auth    Authenticator
	pods    Pods
	desk    *Desk
	clock   func() time.Time
	log     logr.Logger
	metrics *serverMetrics
	mux     *http.ServeMux

	appends  chan struct{} // one for each append that is being answered
	draws    chan struct{} // one for each draw, those that wait included
	redeems  chan struct{}
	streams  chan struct{}
	draining chan struct{} // closed: going away
	drain    sync.Once
}

const (
	maxBody = 8 << 20
	// maxAppends bounds the memory that bodies take.
	maxAppends = 32
	// requestTime is what reading or answering one request may take, waiting for
	// news not counted.
	requestTime = 20 * time.Second
	// drainTime is what requests that go on have to end.
	drainTime = 15 * time.Second
)

// route is one operation of the API.
type route struct {
	method, path string
	// verb on contacts that the caller needs; empty: anybody may ask, or anybody
	// who is known.
	verb   string
	known  bool
	handle func(*Server, http.ResponseWriter, *http.Request) error
	// permits answers a pod of a campaign instead; there is no verb then.
	permits func(*Server, http.ResponseWriter, *http.Request, Holder) error
	// endless bodies are bounded by whoever reads them.
	endless bool
}

var routes = []route{
	{method: http.MethodPost, path: "/v1/contacts", verb: "create", handle: (*Server).appendContacts},
	{method: http.MethodGet, path: "/v1/contacts", verb: "list", handle: (*Server).feed},
	{method: http.MethodGet, path: "/v1/contacts/{principal}", verb: "list", handle: (*Server).ofPrincipal},
	{method: http.MethodPost, path: "/v1/events", known: true, handle: (*Server).events},
	{method: http.MethodPost, path: "/v1/permits/draw", permits: (*Server).draw},
	{method: http.MethodPost, path: "/v1/permits/redeem", permits: (*Server).redeem},
	{method: http.MethodPost, path: "/v1/permits/report", permits: (*Server).report},
	{method: http.MethodPost, path: "/v1/permits/release", permits: (*Server).release},
	{method: http.MethodPost, path: streamPath, permits: (*Server).stream, endless: true},
	{method: http.MethodGet, path: "/healthz", handle: (*Server).healthz},
	{method: http.MethodGet, path: "/readyz", handle: (*Server).readyz},
}

// NewServer makes a server that is not listening yet.
func NewServer(o ServerOptions) *Server {
	s := &Server{
		ledger: o.Ledger, auth: o.Authenticator, clock: o.Clock, log: o.Log, metrics: newServerMetrics(o.Metrics),
		mux: http.NewServeMux(), appends: make(chan struct{}, maxAppends), draining: make(chan struct{}),
		draws: make(chan struct{}, maxDraws), redeems: make(chan struct{}, maxRedeems),
		streams: make(chan struct{}, maxStreams),
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	allowed := map[string][]string{}
	for _, r := range routes {
		s.mux.Handle(r.method+" "+r.path, s.serve(r))
		allowed[r.path] = append(allowed[r.path], r.method)
	}
	for path, methods := range allowed {
		s.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			s.refuse(w, "other", &Problem{Type: ProblemNoSuchRoute, Title: "No such method here", Status: http.StatusMethodNotAllowed, Remedy: "use " + strings.Join(methods, " or ")})
		})
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		s.refuse(w, "other", &Problem{Type: ProblemNoSuchRoute, Title: "No such path", Status: http.StatusNotFound, Remedy: "see docs/gate-openapi.yaml"})
	})
	return s
}

// Give lets the server hand out permits. It is to be called before Serve.
func (s *Server) Give(pods Pods, desk *Desk) { s.pods, s.desk = pods, desk }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// http is the server with its limits: nobody holds a connection for long by
// saying little.
func (s *Server) http() *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       requestTime,
		WriteTimeout:      requestTime, // serve gives those who wait for news more
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(logWriter{s.log}, "", 0),
	}
}

// Serve answers on the listener until ctx is done, then lets requests end. It
// is to be called once.
func (s *Server) Serve(ctx context.Context, l *Listener) error {
	server := s.http()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l.tls) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	s.Drain()
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := server.Shutdown(patience); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

// Drain says to those who ask that the gate goes away, and answers those who
// wait for news.
func (s *Server) Drain() { s.drain.Do(func() { close(s.draining) }) }

// serve wraps what all routes have in common.
func (s *Server) serve(rt route) http.Handler {
	name := rt.method + " " + rt.path
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		s.metrics.inFlight.Inc()
		defer s.metrics.inFlight.Dec()
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if !rt.endless {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		code := http.StatusOK
		err := s.dispatch(rt, w, r)
		if err != nil {
			p := problem(err)
			code = p.Status
			if p.Type == ProblemUnavailable && r.Context().Err() == nil {
				s.log.Error(err, "request failed", "route", name)
			}
			if code == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer realm="`+Audience+`"`)
			}
			p.write(w)
		}
		s.metrics.observe(name, strconv.Itoa(code), time.Since(began))
	})
}

func (s *Server) refuse(w http.ResponseWriter, route string, p *Problem) {
	p.write(w)
	s.metrics.observe(route, strconv.Itoa(p.Status), 0)
}

// dispatch answers whoever may ask.
func (s *Server) dispatch(rt route, w http.ResponseWriter, r *http.Request) error {
	if rt.permits == nil {
		if rt.verb != "" || rt.known {
			if err := s.admit(rt.method+" "+rt.path, r, Access{Verb: rt.verb}); err != nil {
				return err
			}
		}
		return rt.handle(s, w, r)
	}
	if s.desk == nil {
		return unavailable("this gate gives no permits", "ask one that does")
	}
	h, err := s.admitPod(r.Context(), rt.method+" "+rt.path, bearer(r), remoteHost(r))
	if err != nil {
		return err
	}
	return rt.permits(s, w, r, h)
}

func bearer(r *http.Request) string {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return token
}

// admit finds out who asks, and whether they may.
func (s *Server) admit(route string, r *http.Request, to Access) error {
	var user string
	err := ErrUnauthenticated
	if token := bearer(r); token != "" {
		user, err = s.auth.Admit(r.Context(), token, to)
	}
	audit := s.log.WithValues("route", route, "verb", to.Verb, "brand", shorten(to.Brand), "user", unnamed(user), "remote", remoteHost(r))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrUnauthenticated):
		s.metrics.refusals.WithLabelValues("unauthenticated").Inc()
		audit.Info("request refused", "reason", "unauthenticated")
		return unauthenticated()
	case errors.Is(err, ErrForbidden):
		s.metrics.refusals.WithLabelValues("forbidden").Inc()
		audit.Info("request refused", "reason", "forbidden")
		return &Problem{Type: ProblemForbidden, Title: "Not allowed", Status: http.StatusForbidden, Remedy: to.remedy()}
	}
	s.metrics.refusals.WithLabelValues("unknown").Inc()
	audit.Error(err, "request refused", "reason", "unknown")
	return unavailable("the cluster could not be asked who you are", "send the same request again")
}

func (to Access) remedy() string {
	if to.Brand != "" {
		return "ask for a ClusterRole with verb " + to.Verb + " on the brand, of brands of " + v1alpha1.Group
	}
	return "ask for a Role with verb " + to.Verb + " on contacts of " + v1alpha1.Group + " in the customers' namespace"
}

func unauthenticated() *Problem {
	return &Problem{Type: ProblemUnauthenticated, Title: "Who asks is not known", Status: http.StatusUnauthorized, Remedy: "send a ServiceAccount token made for the audience " + Audience}
}

// unnamed hides a customer's id, which is a part of the customer's username.
func unnamed(user string) string {
	if strings.HasPrefix(user, v1alpha1.CustomerUsernamePrefix) {
		return v1alpha1.CustomerUsernamePrefix + "*"
	}
	return user
}

func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "unknown"
	}
	return host
}

func answer(w http.ResponseWriter, body any) error {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the client has gone: nobody is left to tell
	return nil
}

// logWriter takes what net/http has to say: failed handshakes and the like.
type logWriter struct{ log logr.Logger }

var _ io.Writer = logWriter{}

func (w logWriter) Write(p []byte) (int, error) {
	w.log.V(1).Info("http", "message", strings.TrimSpace(string(p)))
	return len(p), nil
}

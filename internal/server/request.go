package server

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/telemetry"
)

// info is what the door knows about a request; it rides in the request's context.
type info struct {
	id     string
	ip     netip.Addr
	plain  bool // a trusted proxy says that the client spoke http
	proxy  bool // the peer is a trusted proxy
	mutual bool // asked under the name where a proxy asks for certificates
	secure bool
	route  string
	area   Area
}

type infoKey struct{}

func infoOf(ctx context.Context) *info {
	in, _ := ctx.Value(infoKey{}).(*info)
	if in == nil {
		return &info{}
	}
	return in
}

// ClientIP returns the address of the client: the peer's, or what a trusted proxy says. It is
// "" outside a request of this server.
func ClientIP(r *http.Request) string { return infoOf(r.Context()).clientIP() }

func (in *info) clientIP() string {
	if in.ip.IsValid() {
		return in.ip.String()
	}
	return ""
}

// Vouched reports whether a certificate that a header names can be believed: a trusted proxy passed the
// request on, and under the name that has the handshake, if that is not the issuer's. Under the issuer's
// own name the proxy has no certificates to pass on, and may pass on what anybody sent.
func Vouched(r *http.Request) bool { in := infoOf(r.Context()); return in.proxy && in.mutual }

// Secure reports whether people reach this server over https, so that cookies are Secure and
// carry the __Host- prefix. It follows the issuer, never a header.
func Secure(r *http.Request) bool { return infoOf(r.Context()).secure }

// RequestID returns the id that this server gave to the request; it finds the log line.
func RequestID(r *http.Request) string { return infoOf(r.Context()).id }

// exchange is one request and its answer: the record that ends as the access log line.
type exchange struct {
	http.ResponseWriter
	info
	status int
	err    error
}

func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= 200 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	return x.ResponseWriter.Write(b)
}

// Unwrap serves http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// ServeHTTP is the door: every request passes it, in this order.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now() // monotonic: the duration in the log
	if d := s.document(r); d != nil {
		s.serveDocument(w, r, d, began)
		return
	}
	x := &exchange{ResponseWriter: w, info: info{id: newRequestID(), secure: s.secure(), route: "none", area: s.guessArea(r)}}
	x.ip, x.plain = clientOf(r.RemoteAddr, r.Header, s.deps.Forwarded, s.deps.Trusted)
	x.proxy, x.mutual = fromProxy(r.RemoteAddr, s.deps.Trusted), s.alias == nil || s.onAlias(r)
	ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), infoKey{}, &x.info), s.deps.Timeout)
	defer cancel()
	ctx = telemetry.WithRequestID(ctx, x.id)
	ctx = audit.WithSource(ctx, audit.Source{IP: x.clientIP(), UserAgent: r.UserAgent(), RequestID: x.id})
	r = r.WithContext(ctx)
	x.Header()["X-Request-Id"] = []string{x.id}
	if s.draining.Load() {
		x.Header().Set("Connection", "close")
	}
	defer s.finish(x, r, began)
	for _, check := range doorChecks {
		if err := check(s, x, r); err != nil {
			s.setHeaders(x, x.area)
			s.fail(x, r, err)
			return
		}
	}
	s.mux.ServeHTTP(x, r)
}

// newRequestID makes an id of ours; one that a client sends is never taken over, it could be
// somebody else's.
func newRequestID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return requestIDs.EncodeToString(b[:])
}

var requestIDs = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// errPanic hides the recovered value from whoever unwraps errors.
var errPanic = errors.New("panic")

// finish recovers a panic, counts the request and writes its log line.
func (s *Server) finish(x *exchange, r *http.Request, began time.Time) {
	v := recover()
	abort := false
	if v != nil && v != http.ErrAbortHandler { //nolint:errorlint // a sentinel that net/http compares too
		x.err = fmt.Errorf("%w: %v\n%s", errPanic, v, debug.Stack())
		if x.status == 0 {
			s.setHeaders(x, x.area)
			s.answer(x, r, errPanic)
		} else {
			abort = true // half an answer went out: the client must not take it for whole
		}
	}
	if x.status == 0 {
		x.status = http.StatusOK // net/http answers 200 to a handler that wrote nothing
	}
	gone := errors.Is(x.err, context.Canceled) && errors.Is(r.Context().Err(), context.Canceled)
	if gone {
		x.status, x.err = statusAborted, nil
	}
	d := time.Since(began)
	if s.deps.Metrics != nil {
		s.deps.Metrics.ObserveHTTP(r.Method, x.route, x.status, d)
	}
	s.log(x, r, d)
	if abort || v == http.ErrAbortHandler { //nolint:errorlint // as above
		panic(http.ErrAbortHandler)
	}
}

// statusAborted stands in log and metrics for a client that went away before its answer.
const statusAborted = 499

func (s *Server) log(x *exchange, r *http.Request, d time.Duration) {
	level := slog.LevelInfo
	switch {
	case x.status >= 500:
		level = slog.LevelError
	case x.route == "none" && !s.quiet.allow(time.Now()): // scanners must not fill the disk
		return
	}
	if !s.deps.Log.Enabled(r.Context(), level) {
		return
	}
	// Built by hand: the logger would look up the caller, which is always this line.
	line := slog.NewRecord(time.Now(), level, "request", 0)
	line.AddAttrs(slog.String("method", r.Method), slog.String("route", x.route), slog.Int("status", x.status),
		slog.Duration("duration", d), slog.String("client_ip", x.clientIP()))
	if x.err != nil {
		line.AddAttrs(slog.String("error", x.err.Error()))
	}
	if x.route == "none" {
		if n := s.quiet.skipped.Swap(0); n > 0 {
			line.AddAttrs(slog.Int64("not_logged", n))
		}
	}
	_ = s.deps.Log.Handler().Handle(r.Context(), line) // nobody to tell that the log is broken
}

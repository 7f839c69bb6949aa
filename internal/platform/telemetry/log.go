// Package telemetry is how the process talks to operators: structured logs that cannot carry
// a secret, and Prometheus metrics with bounded labels. The audit trail is not a log; it is
// platform/audit's table.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
)

// LogOptions chooses the form of the log.
type LogOptions struct {
	Format string // "json" or "text"
	Level  slog.Level
}

// NewLogger returns a logger to w that redacts secrets by key and by shape, and adds the
// request id that a context carries.
func NewLogger(w io.Writer, o LogOptions) *slog.Logger {
	opts := &slog.HandlerOptions{Level: o.Level}
	if o.Format == "text" {
		return slog.New(handler{slog.NewTextHandler(w, opts)})
	}
	return slog.New(handler{slog.NewJSONHandler(w, opts)})
}

type requestIDKey struct{}

// WithRequestID returns a context whose log lines carry the id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id that WithRequestID stored, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// handler redacts before the standard handler writes. It does not use ReplaceAttr, which costs
// that handler its fast path on every line of the access log.
type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, Redact(r.Message), r.PC)
	attrs := make([]slog.Attr, 0, 16)
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, redactAttr(a))
		return true
	})
	if id := RequestID(ctx); id != "" {
		attrs = append(attrs, slog.String("request_id", id))
	}
	clean.AddAttrs(attrs...)
	return h.Handler.Handle(ctx, clean)
}

func (h handler) WithAttrs(as []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(as))
	for i, a := range as {
		clean[i] = redactAttr(a)
	}
	return handler{h.Handler.WithAttrs(clean)}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }

const redacted = "[redacted]"

// secretKeys are attribute names whose value is never shown, whole or as the last word
// (client_secret, refresh_token).
var secretKeys = []string{
	"password", "passwd", "pw", "secret", "token", "code", "cookie", "authorization", "assertion",
	"verifier", "credential", "master_key", "private_key", "hash", "seed", "query", "body", "form",
}

// redactAttr is the last thing between any package and the log. It knows nothing about the
// caller, so it may hide too much; it must not hide too little.
func redactAttr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString, slog.KindAny:
		if secretKey(a.Key) {
			return slog.String(a.Key, redacted)
		}
		if v.Kind() == slog.KindString {
			return slog.String(a.Key, Redact(v.String()))
		}
		return slog.String(a.Key, Redact(fmt.Sprint(v.Any())))
	case slog.KindGroup:
		group := v.Group()
		clean := make([]slog.Attr, len(group))
		for i, g := range group {
			clean[i] = redactAttr(g)
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(clean...)}
	}
	return slog.Attr{Key: a.Key, Value: v}
}

// plainKeys are on every line of the access log; they are no secrets.
var plainKeys = map[string]bool{"method": true, "route": true, "status": true, "client_ip": true, "error": true}

func secretKey(k string) bool {
	if plainKeys[k] {
		return false
	}
	k = strings.ToLower(k)
	for _, s := range secretKeys {
		if rest, ok := strings.CutSuffix(k, s); ok && (rest == "" || strings.HasSuffix(rest, "_") || strings.HasSuffix(rest, "-")) {
			return true
		}
	}
	return false
}

var (
	reToken = regexp.MustCompile(`sgn_[a-z]{2,5}_[A-Za-z0-9_-]+`)
	// Two base64url parts of which the first is a JSON object: a JWT, JWS or JWE.
	reJWT = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_.-]+`)
	// The password part of a URL, such as database.url.
	reURL = regexp.MustCompile(`(://[^/\s:@]*:)[^@\s]+@`)
	// Parameters of a URL or form that tokens travel in.
	reParam = regexp.MustCompile(`(?i)\b((?:code|state|password|client_secret|access_token|refresh_token|id_token|id_token_hint|token|client_assertion|code_verifier)=)[^&\s"']+`)
)

// Redact replaces everything in s that looks like a token, a JWT or a password in a URL.
func Redact(s string) string {
	if strings.Contains(s, "sgn_") {
		s = reToken.ReplaceAllString(s, redacted)
	}
	if strings.Contains(s, "eyJ") {
		s = reJWT.ReplaceAllString(s, redacted)
	}
	if strings.Contains(s, "://") {
		s = reURL.ReplaceAllString(s, "${1}"+redacted+"@")
	}
	if strings.Contains(s, "=") {
		s = reParam.ReplaceAllString(s, "${1}"+redacted)
	}
	return s
}

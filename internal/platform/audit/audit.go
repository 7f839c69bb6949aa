// Package audit keeps the record of security-relevant acts: who did what to whom, from where,
// with which result. It owns the audit_event table. A record is written in the transaction of
// the act itself, so that neither exists without the other; Record insists on one. It does not
// decide what is worth recording (the package of the act does) and holds no secrets: callers put
// ids and reasons into Detail, never what a person typed into a password or login field.
package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"signet/internal/platform/clock"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// Source is where the request being served comes from.
type Source struct {
	IP        string
	UserAgent string
	RequestID string
	// Actor is who acts when an event does not say: "cli" for the command line, "" for a
	// visitor.
	Actor string
}

const (
	maxUserAgent = 256
	maxIP        = 64
)

// Kept returns s as rows keep it to be shown to its owner: printable and bounded, for the browser
// is what a visitor calls it.
func (s Source) Kept() Source {
	s.UserAgent, s.IP = printable(s.UserAgent, maxUserAgent), printable(s.IP, maxIP)
	return s
}

func printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}

type sourceKey struct{}

// WithSource returns a context that carries the source of the request.
func WithSource(ctx context.Context, s Source) context.Context {
	return context.WithValue(ctx, sourceKey{}, s)
}

// SourceOf returns the source that ctx carries, or the zero Source.
func SourceOf(ctx context.Context) Source {
	s, _ := ctx.Value(sourceKey{}).(Source)
	return s
}

// The results of an act.
const (
	OK      = "ok"
	Refused = "refused"
)

// Event is one act to be recorded.
type Event struct {
	Action string // noun.verb, for example "password.change"
	Result string // OK or Refused
	Actor  string // an account or client id, or "" for the Actor of the Source
	Target string // the id of what was acted on
	Client id.Client
	Detail map[string]string
}

// Record is an event as it was kept.
type Record struct {
	ID        string            `json:"id"`
	At        time.Time         `json:"at"`
	Action    string            `json:"action"`
	Result    string            `json:"result"`
	Actor     string            `json:"actor,omitempty"`
	Target    string            `json:"target,omitempty"`
	Client    id.Client         `json:"client,omitempty"`
	IP        string            `json:"ip,omitempty"`
	UserAgent string            `json:"user_agent,omitempty"`
	RequestID string            `json:"request_id,omitempty"`
	Detail    map[string]string `json:"detail,omitempty"`
}

// Deps is what a Log needs.
type Deps struct {
	DB    *store.DB
	Clock clock.Clock
	// Observe, if set, is told of each record, for metrics. A transaction that is rolled back
	// afterwards has been told of too.
	Observe func(action, result string)
}

// Log writes and reads audit records.
type Log struct {
	db      *store.DB
	clock   clock.Clock
	observe func(action, result string)
}

// New returns a Log.
func New(d Deps) (*Log, error) {
	if d.DB == nil || d.Clock == nil {
		return nil, errors.New("audit: DB and Clock are required")
	}
	if d.Observe == nil {
		d.Observe = func(string, string) {}
	}
	return &Log{db: d.DB, clock: d.Clock, observe: d.Observe}, nil
}

// Record keeps e in the transaction that ctx carries; it panics outside of one.
func (l *Log) Record(ctx context.Context, e Event) error {
	store.MustTx(ctx)
	src := SourceOf(ctx)
	if e.Actor == "" {
		e.Actor = src.Actor
	}
	detail, err := encodeDetail(e.Detail)
	if err != nil {
		return err
	}
	_, err = l.db.Q(ctx).Exec(ctx, sqlInsertEvent, id.New(), store.Micros(l.clock.Now()),
		clean(e.Action), clean(e.Result), clean(e.Actor), clean(e.Target), clean(string(e.Client)),
		clean(src.IP), clean(src.UserAgent), clean(src.RequestID), detail)
	if err == nil {
		l.observe(e.Action, e.Result)
	}
	return err
}

// DeleteBefore removes at most limit records older than t and returns how many went.
func (l *Log) DeleteBefore(ctx context.Context, t time.Time, limit int) (int64, error) {
	return l.db.Q(ctx).Exec(ctx, sqlDeleteBefore, store.Micros(t), limit)
}

func encodeDetail(m map[string]string) (string, error) {
	if len(m) == 0 {
		return "", nil
	}
	c := make(map[string]string, len(m))
	for k, v := range m {
		c[clean(k)] = clean(v)
	}
	b, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("audit detail: %w", err)
	}
	return string(b), nil
}

// maxText bounds every field: some of them (request ids, client ids) come from outside, and a
// record must not become a store for whatever a visitor sends.
const maxText = 512

// clean makes s safe to keep and to print: valid, without control characters, bounded.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}

package audit

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// Filter selects records; zero fields select everything.
type Filter struct {
	Target string // what was acted on: for most acts the account concerned
	Actor  string
	Action string
	Result string
	Client id.Client
	Since  time.Time // at this instant or later
	Until  time.Time // before this instant
	After  Cursor    // the last record of the page before
	Limit  int       // at most this many, newest first; 0 means 100, MaxLimit at most
}

// MaxLimit is the largest page.
const MaxLimit = 1000

// Cursor is a place in the list: the record that was shown last. Records that are written
// meanwhile move nothing, because they stand before it.
type Cursor struct {
	At time.Time
	ID string
}

// Cursor returns the place of r, to go on after it.
func (r Record) Cursor() Cursor { return Cursor{At: r.At, ID: r.ID} }

// String renders the cursor for an address or a command line; ParseCursor reads it.
func (c Cursor) String() string {
	if c == (Cursor{}) {
		return ""
	}
	return strconv.FormatInt(store.Micros(c.At), 36) + "." + c.ID
}

// ParseCursor reads what String wrote; "" is the beginning. A cursor comes from outside: it is
// two typed values and selects nothing that the rest of the filter does not.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	at, rest, _ := strings.Cut(s, ".")
	micros, err := strconv.ParseInt(at, 36, 64)
	u, bad := uuid.Parse(rest)
	if err != nil || micros <= 0 || bad != nil || u.String() != rest {
		return Cursor{}, errs.Field("after", "invalid")
	}
	return Cursor{At: store.Time(micros), ID: rest}, nil
}

// List returns the records that match f, newest first.
func (l *Log) List(ctx context.Context, f Filter) ([]Record, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	sql, args := f.sql(min(f.Limit, MaxLimit))
	return store.All(ctx, l.db.Q(ctx), scanRecord, sql, args...)
}

func scanRecord(r store.Row) (rec Record, err error) {
	var at int64
	var client, detail string
	err = r.Scan(&rec.ID, &at, &rec.Action, &rec.Result, &rec.Actor, &rec.Target, &client,
		&rec.IP, &rec.UserAgent, &rec.RequestID, &detail)
	if err != nil {
		return rec, err
	}
	rec.At, rec.Client = store.Time(at), id.Client(client)
	if detail != "" {
		err = json.Unmarshal([]byte(detail), &rec.Detail)
	}
	return rec, err
}

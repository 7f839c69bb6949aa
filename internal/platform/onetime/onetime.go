// Package onetime is the one primitive for things that may be used once: mailed codes and links,
// invitations, sign-ups that wait for their address, states of upstream sign-ins, challenges. It
// owns the table one_time. A thing is consumed by one conditional statement, bound to whatever its
// maker tied it to (a journey, a session, a browser); a spent row stays until it would have
// expired, so that a replay is recognised as one. It does not know what its payloads mean:
// identity and signin do.
package onetime

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// Purpose says what a thing is for. A thing of one purpose is nothing for any other.
type Purpose string

// MaxTries is how many codes may be tried against one thing: of 10^8 codes, five.
const MaxTries = 5

// The message keys of the ways in which a thing is not there.
const (
	KeyUnknown = "onetime.unknown"
	KeyExpired = "onetime.expired"
	KeyUsed    = "onetime.used"
	KeyWrong   = "onetime.wrong_code"
	KeySpent   = "onetime.too_many_codes"
)

// Draft is a thing to be made.
type Draft struct {
	Purpose Purpose
	// Subject is what it is about, so that Void finds it: an account id, an address.
	Subject string
	// Binding is the journey, session or browser it belongs to; "" for any.
	Binding string
	// Payload is kept sealed, as JSON.
	Payload any
	TTL     time.Duration
	// Token asks for a token of that kind; "" for none.
	Token id.Kind
	// Code asks for a code of eight digits.
	Code bool
	// Void makes older unused things of the same purpose and subject worthless.
	Void bool
}

// Issued is a thing as its maker gets it. Token and Code are known nowhere else.
type Issued struct {
	ID          string
	Token, Code seal.Secret
	ExpiresAt   time.Time
}

// Thing is a thing as it was kept.
type Thing struct {
	ID        string
	Purpose   Purpose
	Subject   string
	Binding   string
	Payload   []byte // JSON
	Tries     int
	Used      bool
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Read decodes the payload.
func Read[T any](t Thing) (T, error) {
	var v T
	err := json.Unmarshal(t.Payload, &v)
	return v, errs.Wrap("one-time payload", err)
}

// Deps is what a Service needs.
type Deps struct {
	DB    *store.DB
	Clock clock.Clock
	Seal  *seal.Sealer
}

// Service keeps one-time things. It is safe for concurrent use.
type Service struct {
	db     *store.DB
	clock  clock.Clock
	sealer *seal.Sealer
	key    []byte
}

// New returns a Service.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Clock == nil || d.Seal == nil {
		return nil, errors.New("onetime: DB, Clock and Seal are required")
	}
	return &Service{db: d.DB, clock: d.Clock, sealer: d.Seal, key: d.Seal.Subkey("onetime-code")}, nil
}

// Put makes a thing. It joins the transaction that ctx carries.
func (s *Service) Put(ctx context.Context, n Draft) (Issued, error) {
	if n.Purpose == "" || n.TTL <= 0 {
		return Issued{}, errors.New("onetime: a thing needs a purpose and a lifetime")
	}
	now := s.clock.Now()
	out := Issued{ID: id.New(), ExpiresAt: now.Add(n.TTL)}
	payload, err := json.Marshal(n.Payload)
	if err != nil {
		return Issued{}, errs.Wrap("one-time payload", err)
	}
	sealed := s.sealer.Seal("one_time", "payload", out.ID, payload)
	var hash any
	if n.Token != "" {
		out.Token = seal.Secret(id.NewToken(n.Token))
		hash = id.Digest(out.Token.Reveal())
	}
	mac := ""
	if n.Code {
		if out.Code, err = newCode(); err != nil {
			return Issued{}, err
		}
		mac = s.mac(out.ID, out.Code.Reveal())
	}
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		if n.Void {
			if _, err := s.Void(ctx, n.Purpose, n.Subject); err != nil {
				return err
			}
		}
		_, err := s.db.Q(ctx).Exec(ctx, sqlInsert, out.ID, string(n.Purpose), hash, mac, n.Binding, n.Subject, sealed,
			store.Micros(now), store.Micros(out.ExpiresAt))
		return err
	})
	return out, errs.Wrap("put one-time thing", err)
}

// Peek looks at a thing by its token and changes nothing: for the page behind a mailed link, which
// mail scanners open too. A thing that is used up or expired is returned with an errs.NotFound
// that says which.
func (s *Service) Peek(ctx context.Context, p Purpose, token string) (Thing, error) {
	return s.look(ctx, sqlByToken, id.Digest(token), p)
}

// ByID is Peek by id.
func (s *Service) ByID(ctx context.Context, p Purpose, thing string) (Thing, error) {
	return s.look(ctx, sqlByID, thing, p)
}

func (s *Service) look(ctx context.Context, sql, key string, p Purpose) (Thing, error) {
	t, err := s.scan(s.db.Q(ctx).QueryRow(ctx, sql, key, string(p)))
	switch {
	case errors.Is(err, store.ErrNoRows):
		return Thing{}, errs.New(errs.NotFound, KeyUnknown, nil)
	case err != nil:
		return Thing{}, errs.Wrap("look up one-time thing", err)
	case t.Used:
		return t, errs.New(errs.NotFound, KeyUsed, nil)
	case !s.clock.Now().Before(t.ExpiresAt):
		return t, errs.New(errs.NotFound, KeyExpired, nil)
	}
	return t, nil
}

// Take uses a thing up by its token, for whom it is bound to. Of any number of takers one gets it;
// the others an errs.NotFound as from Peek.
func (s *Service) Take(ctx context.Context, p Purpose, token, binding string) (Thing, error) {
	return s.take(ctx, sqlTakeToken, sqlByToken, id.Digest(token), p, binding)
}

// TakeID is Take by id.
func (s *Service) TakeID(ctx context.Context, p Purpose, thing, binding string) (Thing, error) {
	return s.take(ctx, sqlTakeID, sqlByID, thing, p, binding)
}

func (s *Service) take(ctx context.Context, sql, why, key string, p Purpose, binding string) (Thing, error) {
	t, err := s.scan(s.db.Q(ctx).QueryRow(ctx, sql, key, string(p), binding, store.Micros(s.clock.Now())))
	if errors.Is(err, store.ErrNoRows) {
		if _, err := s.look(ctx, why, key, p); err != nil {
			return Thing{}, err
		}
		return Thing{}, errs.New(errs.NotFound, KeyUnknown, errors.New("bound to another")) // says no more than that
	}
	t.Used = false // it was not, until now
	return t, errs.Wrap("take one-time thing", err)
}

// CheckCode compares a code and uses nothing up: call it before the transaction of an act which
// TakeID then begins, so that a code is not used up by an act that fails. The try is counted first,
// committed outside of any transaction that ctx carries, so that parallel guesses and failures
// afterwards do not escape the count; on SQLite, with its one writer, it must not be called within
// one. A wrong code is errs.Unauthenticated with KeyWrong; with KeySpent after the last try.
func (s *Service) CheckCode(ctx context.Context, p Purpose, thing, binding, code string) error {
	outside := s.db.Q(context.Background()) // which carries no transaction
	var mac string
	err := outside.QueryRow(ctx, sqlTry, thing, string(p), binding, store.Micros(s.clock.Now()), MaxTries).Scan(&mac)
	if errors.Is(err, store.ErrNoRows) {
		t, err := s.look(ctx, sqlByID, thing, p)
		switch {
		case err != nil:
			return err
		case t.Tries >= MaxTries:
			return errs.New(errs.Unauthenticated, KeySpent, nil)
		}
		return errs.New(errs.NotFound, KeyUnknown, errors.New("bound to another"))
	}
	if err != nil {
		return errs.Wrap("try code", err)
	}
	if !hmac.Equal([]byte(mac), []byte(s.mac(thing, CleanCode(code)))) {
		return errs.New(errs.Unauthenticated, KeyWrong, nil)
	}
	return nil
}

// Spend marks something that has no row of its own, such as a signed challenge, as used, and
// reports whether it was the first to do so. expires is when the thing itself is worthless.
func (s *Service) Spend(ctx context.Context, p Purpose, key string, expires time.Time) (bool, error) {
	one := id.New()
	empty := s.sealer.Seal("one_time", "payload", one, []byte("null"))
	n, err := s.db.Q(ctx).Exec(ctx, sqlSpend, one, string(p), id.Digest(string(p)+"\x00"+key), empty,
		store.Micros(s.clock.Now()), store.Micros(expires))
	return n == 1, errs.Wrap("spend", err)
}

// Void makes every unused thing of a purpose about a subject worthless and returns how many.
func (s *Service) Void(ctx context.Context, p Purpose, subject string) (int64, error) {
	n, err := s.db.Q(ctx).Exec(ctx, sqlVoid, subject, string(p), store.Micros(s.clock.Now()))
	return n, errs.Wrap("void one-time things", err)
}

// Open returns things of a purpose that can still be used, oldest first, after the one with the given
// id; 500 at most. It reads many rows: it is for administrators.
func (s *Service) Open(ctx context.Context, p Purpose, after string) ([]Thing, error) {
	list, err := store.All(ctx, s.db.Q(ctx), s.scan, sqlOpen, string(p), store.Micros(s.clock.Now()), after)
	return list, errs.Wrap("list one-time things", err)
}

// DeleteExpired removes at most limit expired things and returns how many went.
func (s *Service) DeleteExpired(ctx context.Context, limit int) (int64, error) {
	return s.db.Q(ctx).Exec(ctx, sqlDeleteExpired, store.Micros(s.clock.Now()), limit)
}

func (s *Service) scan(r store.Row) (t Thing, err error) {
	var sealed []byte
	var created, expires, used, tries int64
	if err := r.Scan(&t.ID, (*string)(&t.Purpose), &t.Subject, &t.Binding, &sealed, &tries, &created, &expires, &used); err != nil {
		return Thing{}, err
	}
	t.CreatedAt, t.ExpiresAt, t.Used, t.Tries = store.Time(created), store.Time(expires), used != 0, int(tries)
	t.Payload, err = s.sealer.Open("one_time", "payload", t.ID, sealed)
	return t, err
}

func (s *Service) mac(thing, code string) string {
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(thing + "\x00" + code))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// codeDigits is the length of a code: long enough that five tries are worth nothing, short enough
// to be typed from another screen.
const codeDigits = 8

func newCode() (seal.Secret, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(100_000_000))
	if err != nil {
		return "", fmt.Errorf("new code: %w", err)
	}
	return seal.Secret(fmt.Sprintf("%0*d", codeDigits, n)), nil
}

// CleanCode drops what people and mail programs put between the digits: spaces, hyphens and
// invisible marks. What is no digit otherwise stays, and fails. Input beyond 64 bytes is no code.
func CleanCode(typed string) string {
	if len(typed) > 64 {
		return ""
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ', r == '-', r == '\t', r == '\u00a0', r == '\u2010', r == '\u2011', r == '\u2013', r == '\u200b', r == '\u2060', r == '\ufeff':
			return -1
		case r >= '０' && r <= '９': // full-width, as Korean and Japanese keyboards type them
			return '0' + r - '０'
		}
		return r
	}, typed)
}

package registration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// Grant is what an initial access token lets its holder register beyond what the configuration lets
// anybody.
type Grant struct {
	Scopes     []string `json:"scopes,omitempty"`
	Audiences  []string `json:"audiences,omitempty"`
	GrantTypes []string `json:"grant_types,omitempty"`
}

// widen returns the terms of the token's holder. Machine clients, and a say in the types of
// authorization_details, are for those whom an operator let in.
func (g Grant) widen(t client.Terms) client.Terms {
	t.Scopes = union(t.OpenScopes(), g.Scopes)
	t.Audiences = union(t.Audiences, g.Audiences)
	t.GrantTypes = append(client.DefaultGrantTypes(), client.GrantClientCredentials)
	t.GrantTypes = append(t.GrantTypes, g.GrantTypes...)
	t.DetailTypes = true
	return t
}

// InitialToken is an initial access token (RFC 7591 §1.2) as an operator sees it.
type InitialToken struct {
	ID        string    `json:"id"`
	Note      string    `json:"note"`
	UsesLeft  int64     `json:"uses_left"` // -1: any number
	Policy    Grant     `json:"policy"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Bounds of initial access tokens.
const (
	InitialLife    = 24 * time.Hour
	MaxInitialLife = 366 * 24 * time.Hour
	maxUses        = 1_000_000
	maxNote        = 200
)

const (
	sqlInsertInitial = `INSERT INTO registration_token (id, token_hash, note, uses_left, policy, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)`
	sqlInitial  = `SELECT id, note, uses_left, policy, created_at, expires_at FROM registration_token WHERE token_hash = $1`
	sqlInitials = `SELECT id, note, uses_left, policy, created_at, expires_at FROM registration_token WHERE id > $1 ORDER BY id LIMIT $2`
	// One use is taken by one statement; a token for any number of uses stays at -1.
	sqlSpendInitial = `UPDATE registration_token SET uses_left = CASE WHEN uses_left > 0 THEN uses_left - 1 ELSE uses_left END
WHERE id = $1 AND uses_left <> 0 AND expires_at > $2 RETURNING uses_left`
	sqlRevokeInitial  = `DELETE FROM registration_token WHERE id = $1 RETURNING id`
	sqlDeleteInitials = `DELETE FROM registration_token WHERE id IN
	(SELECT id FROM registration_token WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`
)

// NewInitial is what Create needs.
type NewInitial struct {
	Note   string
	Uses   int64         // 0: one; -1: any number
	Life   time.Duration // 0: InitialLife
	Policy Grant
}

// Create makes an initial access token, returned here and never again.
func (s *Service) Create(ctx context.Context, n NewInitial) (InitialToken, seal.Secret, error) {
	if n.Uses == 0 {
		n.Uses = 1
	}
	if n.Life == 0 {
		n.Life = InitialLife
	}
	switch {
	case n.Uses < -1 || n.Uses > maxUses:
		return InitialToken{}, "", problem("uses must be from 1 to %d, or -1 for any number", maxUses)
	case n.Life < time.Minute || n.Life > MaxInitialLife:
		return InitialToken{}, "", problem("it must hold from 1m to %s", MaxInitialLife)
	case len(n.Note) > maxNote || strings.ContainsFunc(n.Note, func(r rune) bool { return !unicode.IsPrint(r) }):
		return InitialToken{}, "", problem("the note is longer than %d bytes or cannot be shown", maxNote)
	}
	if err := s.known(ctx, n.Policy); err != nil {
		return InitialToken{}, "", err
	}
	now := s.d.Clock.Now()
	t := InitialToken{ID: id.New(), Note: n.Note, UsesLeft: n.Uses, Policy: n.Policy, CreatedAt: now, ExpiresAt: now.Add(n.Life)}
	policy, err := json.Marshal(t.Policy)
	if err != nil {
		return InitialToken{}, "", err
	}
	token := id.NewToken(id.InitialToken)
	err = s.d.DB.InTx(ctx, func(ctx context.Context) error {
		_, err := s.d.DB.Q(ctx).Exec(ctx, sqlInsertInitial, t.ID, id.Digest(token), t.Note, t.UsesLeft, string(policy),
			store.Micros(t.CreatedAt), store.Micros(t.ExpiresAt))
		if err != nil {
			return err
		}
		return s.record(ctx, "registration_token.create", t.ID)
	})
	return t, seal.Secret(token), err
}

// known refuses what nobody could ever register.
func (s *Service) known(ctx context.Context, g Grant) error {
	apis, err := s.d.Clients.APIs(ctx)
	if err != nil {
		return err
	}
	for _, scope := range g.Scopes {
		if _, ok := apis.OfScope(scope); !ok && !slices.Contains(client.StandardScopes(), scope) {
			return problem("scope %q belongs to no registered API", scope)
		}
	}
	for _, aud := range g.Audiences {
		if _, ok := apis.ByAudience(aud); !ok {
			return problem("%q is not a registered API", aud)
		}
	}
	for _, grant := range g.GrantTypes {
		if !client.KnownGrantType(grant) {
			return problem("%q is not a grant type", grant)
		}
	}
	return nil
}

func problem(format string, args ...any) error {
	return errs.New(errs.Invalid, "", &client.Refused{Text: fmt.Sprintf(format, args...)})
}

func (s *Service) record(ctx context.Context, action, target string) error {
	return s.d.Audit.Record(ctx, audit.Event{Action: action, Result: audit.OK, Target: target})
}

func scanInitial(r store.Row) (t InitialToken, err error) {
	var policy string
	var created, expires int64
	if err = r.Scan(&t.ID, &t.Note, &t.UsesLeft, &policy, &created, &expires); err != nil {
		return t, err
	}
	t.CreatedAt, t.ExpiresAt = store.Time(created), store.Time(expires)
	return t, json.Unmarshal([]byte(policy), &t.Policy)
}

// List returns initial access tokens after the one with the id, by age.
func (s *Service) List(ctx context.Context, after string, limit int) ([]InitialToken, error) {
	return store.All(ctx, s.d.DB.Q(ctx), scanInitial, sqlInitials, after, limit)
}

// Revoke ends an initial access token. Clients that it let in stay.
func (s *Service) Revoke(ctx context.Context, tokenID string) error {
	return s.d.DB.InTx(ctx, func(ctx context.Context) error {
		var gone string
		err := s.d.DB.Q(ctx).QueryRow(ctx, sqlRevokeInitial, tokenID).Scan(&gone)
		if errors.Is(err, store.ErrNoRows) {
			return errs.New(errs.NotFound, "", &client.Refused{Text: "there is no such registration token"})
		}
		if err != nil {
			return err
		}
		return s.record(ctx, "registration_token.revoke", tokenID)
	})
}

// DeleteExpired deletes at most limit initial access tokens that have expired.
func (s *Service) DeleteExpired(ctx context.Context, limit int) (int64, error) {
	return s.d.DB.Q(ctx).Exec(ctx, sqlDeleteInitials, store.Micros(s.d.Clock.Now()), limit)
}

// initial returns the token with the text, if it could be used now.
func (s *Service) initial(ctx context.Context, token string) (InitialToken, error) {
	hash, ok := id.Hash(id.InitialToken, token)
	if !ok {
		return InitialToken{}, badToken(nil)
	}
	t, err := scanInitial(s.d.DB.Q(ctx).QueryRow(ctx, sqlInitial, hash))
	if errors.Is(err, store.ErrNoRows) || err == nil && (t.UsesLeft == 0 || !s.d.Clock.Now().Before(t.ExpiresAt)) {
		return InitialToken{}, badToken(nil)
	}
	return t, err
}

// spend takes one use, in the transaction of the client that it lets in.
func (s *Service) spend(ctx context.Context, t InitialToken) error {
	var left int64
	err := s.d.DB.Q(ctx).QueryRow(ctx, sqlSpendInitial, t.ID, store.Micros(s.d.Clock.Now())).Scan(&left)
	if errors.Is(err, store.ErrNoRows) {
		return badToken(errors.New("spent by another registration"))
	}
	if err != nil {
		return err
	}
	return s.record(ctx, "registration_token.use", t.ID)
}

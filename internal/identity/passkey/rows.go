package passkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

func scan(r store.Row) (c Credential, err error) {
	var transports string
	var count, created, used int64
	err = r.Scan(&c.ID, &c.Key, (*string)(&c.User), &c.Name, &c.publicKey, &c.alg, &c.AAGUID, &transports, &count,
		&c.Synced, &c.BackedUp, &created, &used)
	if err != nil {
		return Credential{}, err
	}
	if err := json.Unmarshal([]byte(transports), &c.Transports); err != nil {
		return Credential{}, fmt.Errorf("transports of passkey %s: %w", c.ID, err)
	}
	c.signCount = uint32(count) //nolint:gosec // it was one
	c.CreatedAt, c.LastUsedAt = store.Time(created), store.Time(used)
	return c, nil
}

// List returns the passkeys of a user, the oldest first.
func (s *Service) List(ctx context.Context, user id.User) ([]Credential, error) {
	list, err := store.All(ctx, s.db.Q(ctx), scan, sqlByUser, string(user))
	return list, errs.Wrap("list passkeys", err)
}

// Count returns how many passkeys a user has.
func (s *Service) Count(ctx context.Context, user id.User) (int, error) {
	var n int64
	err := s.db.Q(ctx).QueryRow(ctx, sqlCount, string(user)).Scan(&n)
	return int(n), errs.Wrap("count passkeys", err)
}

// ByID returns one passkey of a user; errs.NotFound for anybody else's.
func (s *Service) ByID(ctx context.Context, user id.User, credential string) (Credential, error) {
	return s.one(s.db.Q(ctx).QueryRow(ctx, sqlByID, credential, string(user)))
}

func (s *Service) byKey(ctx context.Context, key string) (Credential, error) {
	return s.one(s.db.Q(ctx).QueryRow(ctx, sqlByKey, key))
}

func (s *Service) one(r store.Row) (Credential, error) {
	c, err := scan(r)
	if errors.Is(err, store.ErrNoRows) {
		return Credential{}, errs.New(errs.NotFound, "", err)
	}
	return c, errs.Wrap("look up passkey", err)
}

// person is a user as the library wants one, with the one credential in question.
type person struct {
	handle []byte
	list   []webauthn.Credential
}

func (p person) WebAuthnID() []byte                         { return p.handle }
func (person) WebAuthnName() string                         { return "" }
func (person) WebAuthnDisplayName() string                  { return "" }
func (p person) WebAuthnCredentials() []webauthn.Credential { return p.list }

func (c Credential) owner(raw []byte) person {
	var flags protocol.AuthenticatorFlags
	if c.Synced {
		flags |= protocol.FlagBackupEligible
	}
	if c.BackedUp {
		flags |= protocol.FlagBackupState
	}
	return person{handle: handle(c.User), list: []webauthn.Credential{{
		ID: raw, PublicKey: c.publicKey, Flags: webauthn.NewCredentialFlags(flags),
		Authenticator: webauthn.Authenticator{SignCount: c.signCount},
	}}}
}

// record keeps an act of the user; for one of the command line the source says so.
func (s *Service) record(ctx context.Context, action, result string, user id.User, detail map[string]string) error {
	actor := audit.SourceOf(ctx).Actor
	if actor == "" {
		actor = string(user)
	}
	return s.audit.Record(ctx, audit.Event{Action: action, Result: result, Actor: actor, Target: string(user), Detail: detail})
}

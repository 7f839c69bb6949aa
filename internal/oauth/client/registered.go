package client

import (
	"context"
	"errors"
	"slices"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

const (
	sqlInsertRegistration = `INSERT INTO client_registration (client_id, token_hash, software, source, created_at, used_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $5, $6)`
	sqlCountQuarantine    = `SELECT COUNT(*) FROM client_registration WHERE expires_at > 0`
	sqlRegistrationHolder = `SELECT client_id FROM client_registration WHERE token_hash = $1`
	// The token is turned and the update decided by one statement: of two updates with one token the
	// second finds another one (RFC 7592 §3).
	sqlTurnRegistration = `UPDATE client_registration SET token_hash = $3, software = $4 WHERE client_id = $1 AND token_hash = $2 RETURNING source`
	sqlEndRegistration  = `DELETE FROM client_registration WHERE client_id = $1 AND token_hash = $2 RETURNING client_id`
	sqlEndQuarantine    = `UPDATE client_registration SET expires_at = 0 WHERE client_id = $1`
	// It counts as used: it has users from before, unlike one that nobody ever vouched for.
	sqlBeginQuarantine = `UPDATE client_registration SET used_at = $2, expires_at = $3 WHERE client_id = $1`
)

// Registered is what goes with a client that registers itself.
type Registered struct {
	Software string // the verified software statement as JSON, or ""
	// Source is the network that it came from, where nobody vouched for it: then it is quarantined,
	// which holds MaxQuarantined clients at most (room).
	Source         string
	MaxQuarantined int
	// With takes part in the transaction; an error of it undoes the registration.
	With func(ctx context.Context) error
}

// Register adds a client that registers itself (RFC 7591). The token is its registration access
// token (RFC 7592), returned here and never again, like the secret.
func (s *Service) Register(ctx context.Context, r Registration, reg Registered) (c Client, secret, token seal.Secret, err error) {
	n := NewClient{Name: r.Name, Kind: r.Kind, Metadata: r.Metadata}
	if err := s.openTo(ctx, &n.Metadata); err != nil {
		return Client{}, "", "", err
	}
	n.Metadata.Quarantined, n.Metadata.OperatorMembers = reg.Source != "", []string{}
	token = seal.Secret(id.NewToken(id.RegistrationToken))
	c, secret, err = s.add(ctx, n, ManagedByItself, "client.register", func(ctx context.Context, c *Client) error {
		expires := int64(0)
		if c.Metadata.Quarantined {
			if err := s.room(ctx, reg.MaxQuarantined); err != nil {
				return err
			}
			expires = store.Micros(c.CreatedAt.Add(s.d.UnusedFor))
		}
		_, err := s.d.DB.Q(ctx).Exec(ctx, sqlInsertRegistration, c.ID, id.Digest(token.Reveal()), orEmpty(reg.Software), reg.Source,
			store.Micros(c.CreatedAt), expires)
		if err == nil && reg.With != nil {
			err = reg.With(ctx)
		}
		return err
	})
	return c, secret, token, err
}

func orEmpty(software string) string {
	if software == "" {
		return "{}"
	}
	return software
}

// openTo leaves out scopes and APIs that the terms name but that are not registered (any more): that
// is the operator's affair, not the application's.
func (s *Service) openTo(ctx context.Context, m *Metadata) error {
	apis, err := s.APIs(ctx)
	if err != nil {
		return err
	}
	m.Scopes = slices.DeleteFunc(slices.Clone(m.Scopes), func(scope string) bool {
		_, ok := apis.OfScope(scope)
		return !ok && !slices.Contains(StandardScopes(), scope)
	})
	m.Audiences = slices.DeleteFunc(slices.Clone(m.Audiences), func(aud string) bool {
		_, ok := apis.ByAudience(aud)
		return !ok
	})
	return nil
}

// errHolder is the one answer to a registration access token that does not fit: whether there is
// such a client, or what is wrong with the token, is nobody's business (RFC 7592 §3).
var errHolder = errors.New("the registration access token does not belong to this client")

func notHolder() error { return errs.New(errs.Unauthenticated, "", errHolder) }

// Holder returns the client whose registration access token this is, if it is cid.
func (s *Service) Holder(ctx context.Context, cid id.Client, token string) (*Client, error) {
	hash, ok := id.Hash(id.RegistrationToken, token)
	if !ok {
		return nil, notHolder()
	}
	var holder id.Client
	err := s.d.DB.Q(ctx).QueryRow(ctx, sqlRegistrationHolder, hash).Scan(&holder)
	if errors.Is(err, store.ErrNoRows) || err == nil && holder != cid {
		return nil, notHolder()
	}
	if err != nil {
		return nil, err
	}
	c, err := s.load(ctx, cid)
	if errs.Is(err, errs.NotFound) || err == nil && !c.Active() {
		return nil, notHolder()
	}
	return c, err
}

// Reregister puts r in the place of what the client registered (RFC 7592 §2.2), and another
// registration access token in the place of the one that was used. secret is "" unless the client
// needs one and has none. What the operator decided stays, except that a client which looks different
// is nobody's first party any more, and unverified again if nobody vouched for it.
func (s *Service) Reregister(ctx context.Context, cid id.Client, token string, r Registration, software string) (c Client, secret, next seal.Secret, err error) {
	hash, ok := id.Hash(id.RegistrationToken, token)
	if !ok {
		return Client{}, "", "", notHolder()
	}
	next = seal.Secret(id.NewToken(id.RegistrationToken))
	err = s.change(ctx, func(ctx context.Context) error {
		secret = ""
		var source string
		err := s.d.DB.Q(ctx).QueryRow(ctx, sqlTurnRegistration, cid, hash, id.Digest(next.Reveal()), orEmpty(software)).Scan(&source)
		if errors.Is(err, store.ErrNoRows) {
			return notHolder()
		}
		if err != nil {
			return err
		}
		old, err := s.load(ctx, cid)
		if err != nil {
			return err
		}
		if !old.Active() {
			return notHolder()
		}
		if c, secret, err = s.replace(ctx, old, r, source != ""); err != nil {
			return err
		}
		return s.record(ctx, "client.reregister", &c, map[string]string{"name": c.Name})
	})
	if err != nil {
		return Client{}, "", "", err
	}
	return c, secret, next, nil
}

func (s *Service) replace(ctx context.Context, old *Client, r Registration, stranger bool) (Client, seal.Secret, error) {
	if r.Kind != old.Kind {
		var p Problems
		p.add("token_endpoint_auth_method", "and application_type would make another kind of client of it: register anew")
		return Client{}, "", p.err()
	}
	next := *old
	meta, err := keepOperators(old.Metadata, kept(old.Metadata, r.Metadata))
	if err != nil {
		return Client{}, "", err
	}
	next.Name, next.Metadata, next.UpdatedAt = r.Name, meta, s.d.Clock.Now()
	different := looksDifferent(old, &next)
	next.Metadata.FirstParty = old.Metadata.FirstParty && !different
	if stranger && different && !old.Metadata.Quarantined { // one that is in quarantine gains no time
		next.Metadata.Quarantined = true
		used, expires := max(store.Micros(next.UpdatedAt), store.Micros(next.CreatedAt)+1), store.Micros(next.UpdatedAt.Add(s.d.UnusedFor))
		if _, err := s.d.DB.Q(ctx).Exec(ctx, sqlBeginQuarantine, next.ID, used, expires); err != nil {
			return Client{}, "", err
		}
	}
	if err := s.openTo(ctx, &next.Metadata); err != nil {
		return Client{}, "", err
	}
	if err := s.check(ctx, &next); err != nil {
		return Client{}, "", err
	}
	if err := s.write(ctx, &next); err != nil {
		return Client{}, "", err
	}
	if err := s.fitSecrets(ctx, &next); err != nil {
		return Client{}, "", err
	}
	if !next.NeedsSecret(next.UpdatedAt) {
		return next, "", nil
	}
	secret := id.NewToken(id.ClientSecret)
	h, err := s.keepSecret(ctx, &next, secret, next.UpdatedAt)
	next.secrets = append(next.secrets, h)
	return next, seal.Secret(secret), err
}

// kept is next with everything that only an operator can say; keepOperators adds what this one did.
func kept(old, next Metadata) Metadata {
	next.FirstParty, next.RequireMFA, next.Quarantined = old.FirstParty, old.RequireMFA, old.Quarantined
	next.AccessTokenFormat = old.AccessTokenFormat
	next.AccessTokenTTL, next.RefreshIdleTTL, next.RefreshAbsoluteTTL = old.AccessTokenTTL, old.RefreshIdleTTL, old.RefreshAbsoluteTTL
	next.ExchangeClients, next.Impersonates, next.TrustedIssuers = old.ExchangeClients, old.Impersonates, old.TrustedIssuers
	return next
}

// looksDifferent reports whether a person could take the client for another one than before.
func looksDifferent(a, b *Client) bool {
	return a.Name != b.Name || a.Metadata.ClientURI != b.Metadata.ClientURI || a.Metadata.LogoURI != b.Metadata.LogoURI ||
		a.Metadata.PolicyURI != b.Metadata.PolicyURI || a.Metadata.TOSURI != b.Metadata.TOSURI ||
		!slices.Equal(a.Metadata.RedirectURIs, b.Metadata.RedirectURIs)
}

// Unregister deletes the client at its own wish (RFC 7592 §2.3), with everything granted to it.
func (s *Service) Unregister(ctx context.Context, cid id.Client, token string) error {
	hash, ok := id.Hash(id.RegistrationToken, token)
	if !ok {
		return notHolder()
	}
	return s.change(ctx, func(ctx context.Context) error {
		var ended id.Client
		err := s.d.DB.Q(ctx).QueryRow(ctx, sqlEndRegistration, cid, hash).Scan(&ended)
		if errors.Is(err, store.ErrNoRows) {
			return notHolder()
		}
		if err != nil {
			return err
		}
		if c, err := s.load(ctx, cid); err != nil {
			return err
		} else if !c.Active() { // what an operator switched off stays for the operator to look at
			return notHolder()
		}
		if _, err := s.d.DB.Q(ctx).Exec(ctx, sqlDeleteClient, cid); err != nil {
			return err
		}
		return s.d.Audit.Record(ctx, audit.Event{Action: "client.unregister", Result: audit.OK, Target: string(cid), Client: cid})
	})
}

// Approve ends the quarantine of a client: an operator has looked at it.
func (s *Service) Approve(ctx context.Context, cid id.Client) error {
	return s.change(ctx, func(ctx context.Context) error {
		c, err := s.editable(ctx, cid)
		if err != nil || !c.Metadata.Quarantined {
			return err
		}
		c.Metadata.Quarantined, c.UpdatedAt = false, s.d.Clock.Now()
		if err := s.write(ctx, c); err != nil {
			return err
		}
		if _, err := s.d.DB.Q(ctx).Exec(ctx, sqlEndQuarantine, cid); err != nil {
			return err
		}
		return s.record(ctx, "client.approve", c, nil)
	})
}

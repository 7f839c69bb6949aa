package client

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"signet/internal/platform/id"
)

// client_secret_jwt makes a MAC key of the secret (OIDC Core §10.1), so for these clients alone the
// store keeps the secret itself, sealed under the master key and bound to its client. The copy goes
// as soon as the client authenticates in another way.

var errNoSealer = errors.New("client: client_secret_jwt needs a sealer")

// keepSecret stores a secret that was made now, in the form that the client's method needs.
func (s *Service) keepSecret(ctx context.Context, c *Client, secret string, now time.Time) (secretHash, error) {
	h := secretHash{hash: id.Digest(secret), createdAt: now}
	if c.Metadata.AuthMethod == SecretJWT {
		var err error
		if h.sealed, err = s.sealSecret(c.ID, h.hash, secret); err != nil {
			return h, err
		}
	}
	return h, s.insertSecret(ctx, c.ID, h.hash, h.sealed, now)
}

func sealedRow(cid id.Client, hash string) string { return string(cid) + "\x00" + hash }

func (s *Service) sealSecret(cid id.Client, hash, secret string) (string, error) {
	if s.d.Seal == nil {
		return "", errNoSealer
	}
	box := s.d.Seal.Seal("client_secret", "sealed", sealedRow(cid, hash), []byte(secret))
	return base64.RawURLEncoding.EncodeToString(box), nil
}

// MACKeys returns the live secrets of a client that authenticates with client_secret_jwt.
func (s *Service) MACKeys(c *Client, now time.Time) ([][]byte, error) {
	if c.Metadata.AuthMethod != SecretJWT {
		return nil, nil
	}
	if s.d.Seal == nil {
		return nil, errNoSealer
	}
	var out [][]byte
	for _, h := range c.secrets {
		if h.sealed == "" || !h.live(now) {
			continue
		}
		box, err := base64.RawURLEncoding.DecodeString(h.sealed)
		if err != nil {
			return nil, fmt.Errorf("client %s: sealed secret: %w", c.ID, err)
		}
		key, err := s.d.Seal.Open("client_secret", "sealed", sealedRow(c.ID, h.hash), box)
		if err != nil {
			return nil, err
		}
		out = append(out, key)
	}
	return out, nil
}

// fitSecrets brings the secrets of a changed client into line with its method. One that came to
// client_secret_jwt loses secrets of which only the hash is known, and gets its first by
// RotateSecret; one that left it keeps hashes only; one without secrets has none.
func (s *Service) fitSecrets(ctx context.Context, c *Client) error {
	bare, sealed := false, false
	for _, h := range c.secrets {
		bare, sealed = bare || h.sealed == "", sealed || h.sealed != ""
	}
	jwt := c.Metadata.AuthMethod == SecretJWT
	switch {
	case len(c.secrets) > 0 && !c.Metadata.UsesSecret(), jwt && bare:
		c.secrets = nil
		_, err := s.d.DB.Q(ctx).Exec(ctx, sqlDeleteSecrets, c.ID)
		return err
	case !jwt && sealed:
		for i := range c.secrets {
			c.secrets[i].sealed = ""
		}
		_, err := s.d.DB.Q(ctx).Exec(ctx, sqlForgetSealed, c.ID)
		return err
	}
	return nil
}

// plainSecrets are the declared secrets of a client that needs them sealed, by their hashes. For it
// a hash alone will not do.
func plainSecrets(f FileClient, p *Problems) map[string]string {
	if f.Metadata.AuthMethod != SecretJWT {
		return nil
	}
	out := map[string]string{}
	for _, s := range f.Secrets {
		if s.Plain == "" {
			p.add("secrets", "has only a hash: client_secret_jwt needs the secret itself (secret_file)")
			continue
		}
		out[id.Digest(s.Plain.Reveal())] = s.Plain.Reveal()
	}
	return out
}

// usable leaves out what a declared client of the method cannot use: for client_secret_jwt, secrets
// that were stored as hashes only, while it authenticated in another way.
func usable(old *Client, method AuthMethod) *Client {
	if method != SecretJWT {
		return old
	}
	c := *old
	c.secrets = slices.DeleteFunc(slices.Clone(c.secrets), func(h secretHash) bool { return h.sealed == "" })
	return &c
}

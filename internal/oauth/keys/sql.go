package keys

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

const (
	sqlSelectKeys = `SELECT id, alg, public_jwk, private_sealed, created_at, activate_at, retire_at, remove_at
FROM signing_key ORDER BY alg, activate_at, id`
	sqlInsertKey = `INSERT INTO signing_key (id, alg, public_jwk, private_sealed, created_at, activate_at, retire_at, remove_at)
VALUES ($1, $2, $3, $4, $5, $6, 0, 0)`
	sqlActivateKey = `UPDATE signing_key SET activate_at = $2 WHERE id = $1`
	sqlRetireKey   = `UPDATE signing_key SET retire_at = $2, remove_at = $3 WHERE id = $1`
	sqlDeleteKey   = `DELETE FROM signing_key WHERE id = $1 AND remove_at <> 0 AND remove_at <= $2`
)

// row is a key as it is stored.
type row struct {
	Key
	publicJWK string
	sealed    []byte
}

func (s *Service) rows(ctx context.Context) ([]row, error) {
	return store.All(ctx, s.d.DB.Q(ctx), func(r store.Row) (v row, err error) {
		var created, activate, retire, remove int64
		err = r.Scan(&v.ID, &v.Alg, &v.publicJWK, &v.sealed, &created, &activate, &retire, &remove)
		v.CreatedAt, v.ActivateAt = store.Time(created), store.Time(activate)
		v.RetireAt, v.RemoveAt = store.Time(retire), store.Time(remove)
		return v, err
	}, sqlSelectKeys)
}

func keysOf(rows []row) []Key {
	out := make([]Key, len(rows))
	for i, r := range rows {
		out[i] = r.Key
	}
	return out
}

// fresh makes a key and seals it. It takes up to a second for RSA: never inside a transaction.
func (s *Service) fresh(alg string) (row, error) {
	priv, err := s.d.Generate(alg)
	if err != nil {
		return row{}, err
	}
	kid := id.Key(id.New())
	der, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return row{}, err
	}
	jwk, err := json.Marshal(publicJWK(string(kid), alg, priv.Public()))
	if err != nil {
		return row{}, err
	}
	sealed := s.d.Seal.Seal("signing_key", "private_sealed", place(kid, alg), der)
	return row{Key: Key{ID: kid, Alg: alg}, publicJWK: string(jwk), sealed: sealed}, nil
}

// place is the row that a sealed key is bound to: nobody who can write to the database can give
// a key another id or let it sign with another algorithm.
func place(kid id.Key, alg string) string { return string(kid) + "\x00" + alg }

func (s *Service) insert(ctx context.Context, r row, created, activate time.Time) (Key, error) {
	r.CreatedAt, r.ActivateAt = created, activate
	_, err := s.d.DB.Q(ctx).Exec(ctx, sqlInsertKey, r.ID, r.Alg, r.publicJWK, r.sealed, store.Micros(created), store.Micros(activate))
	return r.Key, err
}

func (s *Service) retire(ctx context.Context, k Key, at, removeAt time.Time) error {
	_, err := s.d.DB.Q(ctx).Exec(ctx, sqlRetireKey, k.ID, store.Micros(at), store.Micros(removeAt))
	return err
}

// open unseals a row's private key and checks it against the public part beside it.
func (s *Service) open(r row) (*signer, error) {
	der, err := s.d.Seal.Open("signing_key", "private_sealed", place(r.ID, r.Alg), r.sealed)
	if err != nil {
		return nil, fmt.Errorf("signing key %s cannot be opened: is this the master key it was made with? (%w)", r.ID, err)
	}
	priv, err := parsePrivate(r.Alg, der)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", r.ID, err)
	}
	want, err := json.Marshal(publicJWK(string(r.ID), r.Alg, priv.Public()))
	if err != nil {
		return nil, err
	}
	// What is published comes from the sealed key; a row whose public part says otherwise was
	// tampered with.
	if string(want) != r.publicJWK {
		return nil, fmt.Errorf("signing key %s: its public part does not belong to it", r.ID)
	}
	return newSigner(r.Key, priv)
}

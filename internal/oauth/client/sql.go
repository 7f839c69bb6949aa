package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// A client comes with its secrets in one statement: this is the read that every request pays
// which finds nothing in the cache.
const sqlClientColumns = `SELECT client.id, client.name, client.kind, client.status, client.managed_by,
	client.metadata, client.created_at, client.updated_at,
	COALESCE(client_secret.hash, ''), COALESCE(client_secret.created_at, 0), COALESCE(client_secret.expires_at, 0), COALESCE(client_secret.sealed, '')
FROM client LEFT JOIN client_secret ON client_secret.client_id = client.id `

const (
	sqlSelectClient  = sqlClientColumns + `WHERE client.id = $1 ORDER BY client_secret.created_at, client_secret.id`
	sqlSelectClients = sqlClientColumns + `WHERE client.id IN (SELECT id FROM client WHERE id > $1 ORDER BY id LIMIT $2)
ORDER BY client.id, client_secret.created_at, client_secret.id`
	sqlInsertClient = `INSERT INTO client (id, name, kind, status, managed_by, metadata, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7)`
	sqlUpdateClient = `UPDATE client SET name = $2, status = $3, metadata = $4, updated_at = $5 WHERE id = $1`
	sqlDeleteClient = `DELETE FROM client WHERE id = $1`

	sqlInsertSecret      = `INSERT INTO client_secret (id, client_id, hash, created_at, expires_at, sealed) VALUES ($1, $2, $3, $4, 0, $5)`
	sqlExpireSecrets     = `UPDATE client_secret SET expires_at = $2 WHERE client_id = $1 AND expires_at = 0`
	sqlDeleteExpired     = `DELETE FROM client_secret WHERE client_id = $1 AND expires_at <> 0 AND expires_at <= $2`
	sqlDeleteSecrets     = `DELETE FROM client_secret WHERE client_id = $1`
	sqlForgetSealed      = `UPDATE client_secret SET sealed = '' WHERE client_id = $1`
	sqlDeleteOtherSecret = `DELETE FROM client_secret WHERE client_id = $1 AND hash <> $2 AND hash <> $3`

	sqlSelectAPIs = `SELECT audience, name, scopes, managed_by, created_at, updated_at FROM api ORDER BY audience`
	sqlInsertAPI  = `INSERT INTO api (audience, name, scopes, managed_by, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)`
	sqlUpdateAPI  = `UPDATE api SET name = $2, scopes = $3, updated_at = $4 WHERE audience = $1`
	sqlDeleteAPI  = `DELETE FROM api WHERE audience = $1`
)

// scanned is one row of the join.
type scanned struct {
	c         Client
	metadata  string
	secret    string
	created   int64
	updated   int64
	secretAt  int64
	secretExp int64
	sealed    string
}

func scanRow(r store.Row) (v scanned, err error) {
	err = r.Scan(&v.c.ID, &v.c.Name, &v.c.Kind, &v.c.Status, &v.c.ManagedBy, &v.metadata, &v.created, &v.updated,
		&v.secret, &v.secretAt, &v.secretExp, &v.sealed)
	return v, err
}

// load reads one client, or errs.NotFound.
func (s *Service) load(ctx context.Context, cid id.Client) (*Client, error) {
	if !validID(cid) && !documentID(cid) {
		return nil, notFound(cid)
	}
	rows, err := store.All(ctx, s.d.DB.Q(ctx), scanRow, sqlSelectClient, cid)
	if err != nil {
		return nil, err
	}
	list, err := assemble(rows)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, notFound(cid)
	}
	return list[0], nil
}

func notFound(cid id.Client) error {
	return refuse(errs.NotFound, "there is no client %q", shown(string(cid)))
}

// noLimit stands for all rows.
const noLimit = 1 << 40

func (s *Service) loadAll(ctx context.Context, after id.Client, limit int64) ([]*Client, error) {
	rows, err := store.All(ctx, s.d.DB.Q(ctx), scanRow, sqlSelectClients, after, limit)
	if err != nil {
		return nil, err
	}
	return assemble(rows)
}

// assemble folds the rows of the join, which come ordered by client, into clients.
func assemble(rows []scanned) ([]*Client, error) {
	var list []*Client
	for _, v := range rows {
		if len(list) == 0 || list[len(list)-1].ID != v.c.ID {
			c := v.c
			c.CreatedAt, c.UpdatedAt = store.Time(v.created), store.Time(v.updated)
			c.stored = c.ManagedBy == ManagedByDocument
			if err := c.read(v.metadata); err != nil {
				return nil, err
			}
			list = append(list, &c)
		}
		if v.secret != "" {
			c := list[len(list)-1]
			c.secrets = append(c.secrets, secretHash{v.secret, store.Time(v.secretAt), store.Time(v.secretExp), v.sealed})
		}
	}
	return list, nil
}

// read decodes stored metadata.
func (c *Client) read(metadata string) error {
	if err := json.Unmarshal([]byte(metadata), &c.Metadata); err != nil {
		return fmt.Errorf("client %s: stored metadata: %w", c.ID, err)
	}
	if len(c.Metadata.JWKS) > 0 {
		set, err := parseJWKS(c.Metadata.JWKS, false)
		if err != nil {
			return fmt.Errorf("client %s: stored jwks %w", c.ID, err)
		}
		c.keys = set
	}
	return nil
}

func (s *Service) insert(ctx context.Context, c *Client) error {
	metadata, err := json.Marshal(c.Metadata)
	if err != nil {
		return err
	}
	_, err = s.d.DB.Q(ctx).Exec(ctx, sqlInsertClient, c.ID, c.Name, c.Kind, c.Status, c.ManagedBy, string(metadata), store.Micros(c.CreatedAt))
	if errors.Is(err, store.ErrUnique) {
		return refuse(errs.Conflict, "there is a client %q already", c.ID)
	}
	return err
}

func (s *Service) write(ctx context.Context, c *Client) error {
	metadata, err := json.Marshal(c.Metadata)
	if err != nil {
		return err
	}
	_, err = s.d.DB.Q(ctx).Exec(ctx, sqlUpdateClient, c.ID, c.Name, c.Status, string(metadata), store.Micros(c.UpdatedAt))
	return err
}

// insertSecret stores a secret that is made now. sealed is "" where the hash is all that is needed.
func (s *Service) insertSecret(ctx context.Context, cid id.Client, hash, sealed string, now time.Time) error {
	_, err := s.d.DB.Q(ctx).Exec(ctx, sqlInsertSecret, id.New(), cid, hash, store.Micros(now), sealed)
	return err
}

func scanAPI(r store.Row) (a API, err error) {
	var scopes string
	var created, updated int64
	if err = r.Scan(&a.Audience, &a.Name, &scopes, &a.ManagedBy, &created, &updated); err != nil {
		return a, err
	}
	a.CreatedAt, a.UpdatedAt = store.Time(created), store.Time(updated)
	if err = json.Unmarshal([]byte(scopes), &a.Scopes); err != nil {
		return a, fmt.Errorf("api %s: stored scopes: %w", a.Audience, err)
	}
	return a, nil
}

func (s *Service) loadAPIs(ctx context.Context) (*APIs, error) {
	list, err := store.All(ctx, s.d.DB.Q(ctx), scanAPI, sqlSelectAPIs)
	if err != nil {
		return nil, err
	}
	return newAPIs(list), nil
}

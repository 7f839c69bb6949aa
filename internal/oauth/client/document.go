package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// Documents lets a client be the address of a document that describes it: a client ID metadata
// document (draft-ietf-oauth-client-id-metadata-document). Nobody registers it, so whoever controls
// the address controls the client, and people are shown its host.
type Documents struct {
	Terms Terms
	// Most is how many may have a row; UnusedFor how long one stays through which nobody comes in.
	Most      int
	UnusedFor time.Duration
}

func (d Documents) withDefaults() *Documents {
	if d.Most < 1 {
		d.Most = 10_000
	}
	if d.UnusedFor <= 0 {
		d.UnusedFor = 90 * 24 * time.Hour
	}
	return &d
}

// How documents are kept. Their owners say how long within bounds: the least keeps a crowd at our
// door from becoming a crowd at theirs, the most is how long a withdrawn redirect URI may live on.
const (
	documentLeast = 5 * time.Minute
	documentMost  = 24 * time.Hour
	documentStale = 24 * time.Hour // used while its owner cannot be reached
	documentRetry = 30 * time.Second
	documentUnset = time.Hour        // where the owner says nothing
	documentWrong = 10 * time.Second // before what was no document is asked for again
	maxDocument   = 16 << 10
	maxDocuments  = 1000 // in memory; any other makes room
	documentSlots = 8    // fetched at once: other outbound requests must not starve
	adoptedSlots  = 4    // and of those that people use: no stranger's address takes their place
)

const (
	sqlDocument     = `SELECT content_type, body, etag, fetched_at, expires_at, used_at FROM client_document WHERE kind = $1 AND uri = $2`
	sqlSaveDocument = `INSERT INTO client_document (kind, uri, content_type, body, etag, fetched_at, expires_at, used_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $6)
ON CONFLICT (kind, uri) DO UPDATE SET content_type = excluded.content_type, body = excluded.body, etag = excluded.etag,
	fetched_at = excluded.fetched_at, expires_at = excluded.expires_at, used_at = excluded.used_at`
	sqlTouchDocument  = `UPDATE client_document SET used_at = $3 WHERE kind = $1 AND uri = $2`
	sqlDeleteDocument = `DELETE FROM client_document WHERE (kind, uri) IN
	(SELECT kind, uri FROM client_document WHERE used_at < $1 ORDER BY used_at LIMIT $2)`
	sqlForgetDocument = `DELETE FROM client_document WHERE kind = $1 AND uri = $2`
	sqlAdoptClient    = `INSERT INTO client (id, name, kind, status, managed_by, metadata, created_at, updated_at, used_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $7) ON CONFLICT (id) DO NOTHING`
	sqlFollowClient = `UPDATE client SET name = $2, kind = $3, metadata = $4, updated_at = $5 WHERE id = $1 AND managed_by = $6`
)

// documents are those that this process has read.
type documents struct {
	mu    sync.Mutex
	known map[id.Client]*known
	wrong map[id.Client]time.Time // what stands there was none; asked again after documentWrong
	slots chan struct{}
	// adopted are the slots of documents that have a row.
	adopted chan struct{}
}

type known struct {
	raw       []byte
	reg       Registration
	fetchedAt time.Time
	expiresAt time.Time
	triedAt   time.Time
}

// documentID reports whether cid can be the address of a document: https, a path beyond the root, no
// user, fragment or dot segments (draft-ietf-oauth-client-id-metadata-document §3). What the fetcher
// reaches only in development (http to this machine) it refuses elsewhere.
func documentID(cid id.Client) bool {
	s := string(cid)
	if !strings.HasPrefix(s, "https://") && !strings.HasPrefix(s, "http://") || len(s) > maxDocumentID || uriProblem(s, false) != "" {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && u.Path != "" && u.Path != "/"
}

const maxDocumentID = 256 // a client_id is no longer elsewhere either

// DocumentHost is the host that stands for a client which is a document, or "".
func (c *Client) DocumentHost() string {
	if c.ManagedBy != ManagedByDocument {
		return ""
	}
	u, err := url.Parse(string(c.ID))
	if err != nil {
		return ""
	}
	return u.Host
}

// Recorded is Get for what was, and for transactions: a client that is a document comes as it was last
// recorded, and nobody is asked about it. One that nobody consented to is not found.
func (s *Service) Recorded(ctx context.Context, cid id.Client) (*Client, error) {
	if validID(cid) {
		return s.Get(ctx, cid)
	}
	return s.load(ctx, cid)
}

// document returns the client that a document describes. What anybody can make us do is one bounded
// request and one entry in memory; rows come with the first person who consents (Adopt).
func (s *Service) document(ctx context.Context, cid id.Client, gen uint64) (*Client, error) {
	row, err := s.load(ctx, cid)
	switch {
	case errs.Is(err, errs.NotFound):
		row = nil
	case err != nil:
		return nil, err
	case !row.Active():
		return row, nil
	}
	now := s.d.Clock.Now()
	k := s.documents.get(cid)
	if k == nil && row != nil {
		if k, err = s.storedDocument(ctx, cid); err != nil {
			return nil, err
		}
	}
	switch {
	case k != nil && now.Before(k.expiresAt):
	case k != nil && now.Before(k.fetchedAt.Add(documentMost+documentStale)):
		if s.documents.again(cid, now) {
			go func() { _, _ = s.readDocument(context.Background(), cid, row) }() // bounded in time by fetch
		}
	default:
		if k, err = s.readDocument(ctx, cid, row); err != nil {
			return nil, err
		}
	}
	c := k.client(cid, row)
	if err := c.parseKeys(); err != nil {
		return nil, err
	}
	c.until = k.expiresAt
	if !now.Before(c.until) {
		c.until = now.Add(documentRetry)
	}
	if c.stored { // strangers fill no more memory than that of documents
		s.cache.keep(gen, func() { s.cache.putClient(c) })
	}
	return c, nil
}

func (k *known) client(cid id.Client, row *Client) *Client {
	c := &Client{ID: cid, Name: k.reg.Name, Kind: k.reg.Kind, Status: Active, ManagedBy: ManagedByDocument,
		Metadata: k.reg.Metadata, CreatedAt: k.fetchedAt, UpdatedAt: k.fetchedAt}
	if row != nil {
		c.CreatedAt, c.UpdatedAt, c.stored = row.CreatedAt, row.UpdatedAt, true
	}
	return c
}

func (c *Client) parseKeys() error {
	if len(c.Metadata.JWKS) == 0 {
		return nil
	}
	set, err := parseJWKS(c.Metadata.JWKS, false)
	c.keys = set
	return err
}

// storedDocument is what another instance, or this one before a restart, has read.
func (s *Service) storedDocument(ctx context.Context, cid id.Client) (*known, error) {
	d, err := s.loadDocument(ctx, kindMetadata, string(cid))
	if err != nil || d == nil {
		return nil, err
	}
	reg, err := s.judge(ctx, cid, d.body)
	if err != nil {
		return nil, nil //nolint:nilerr // the rules have changed since: read it anew
	}
	k := &known{raw: d.body, reg: reg, fetchedAt: d.fetchedAt, expiresAt: d.expiresAt}
	s.documents.put(cid, k)
	return k, nil
}

// readDocument fetches the document and brings the client's row, if there is one, up to date with it.
func (s *Service) readDocument(ctx context.Context, cid id.Client, row *Client) (*known, error) {
	if s.documents.isWrong(cid, s.d.Clock.Now()) {
		return nil, notFound(cid)
	}
	slots := s.documents.slots
	if row != nil {
		slots = s.documents.adopted
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	default:
		return nil, errs.Retry(errs.Busy, "", documentRetry)
	}
	if row == nil {
		ctx = fetch.Stranger(ctx)
	}
	doc, err := s.d.Fetch.Get(ctx, string(cid), fetch.JSON)
	if err != nil {
		return nil, notFound(cid) // why, the log knows, and nobody else (SS-05)
	}
	reg, err := s.judge(ctx, cid, doc.Body)
	if err == nil {
		err = s.CheckSector(ctx, reg.Metadata)
	}
	switch {
	case errors.Is(err, errSectorAway):
		return nil, notFound(cid)
	case err != nil:
		return nil, s.unusable(ctx, cid, row, err)
	}
	now := s.d.Clock.Now()
	life := doc.Life
	if life == 0 {
		life = documentUnset
	}
	k := &known{raw: doc.Body, reg: reg, fetchedAt: now, expiresAt: now.Add(min(max(life, documentLeast), documentMost))}
	s.documents.put(cid, k)
	if row != nil {
		if err := s.follow(ctx, k, row); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// unusable ends what a document said before, in memory and in the store: it does not any more.
func (s *Service) unusable(ctx context.Context, cid id.Client, row *Client, err error) error {
	if !errs.Is(err, errs.Invalid) {
		return err
	}
	s.d.Log.WarnContext(ctx, "the document of a client is unusable", "client", string(cid), "error", err.Error())
	s.documents.end(cid, s.d.Clock.Now())
	if row == nil {
		return notFound(cid)
	}
	if _, err := s.d.DB.Q(ctx).Exec(ctx, sqlForgetDocument, kindMetadata, string(cid)); err != nil {
		return err
	}
	return notFound(cid)
}

// judge reads a document under the terms for documents (draft §4.1).
func (s *Service) judge(ctx context.Context, cid id.Client, raw []byte) (Registration, error) {
	var p Problems
	if len(raw) > maxDocument {
		p.add("client_id", "has a document larger than %d bytes", maxDocument)
		return Registration{}, p.err()
	}
	reg, err := ReadRegistration(raw, s.d.Documents.Terms, true)
	if err != nil {
		return reg, err
	}
	if reg.ClientID != string(cid) {
		p.add("client_id", "is not the address of the document")
	}
	if reg.Secret != "" || reg.Managed {
		p.add("client_secret", "and what belongs to it cannot stand in a document")
	}
	if err := p.err(); err != nil {
		return reg, err
	}
	if err := s.openTo(ctx, &reg.Metadata); err != nil {
		return reg, err
	}
	c := Client{ID: cid, Name: reg.Name, Kind: reg.Kind, ManagedBy: ManagedByDocument, Metadata: reg.Metadata}
	err = s.check(ctx, &c)
	reg.Metadata = c.Metadata
	return reg, err
}

// follow writes what a document says now into the row of its client.
func (s *Service) follow(ctx context.Context, k *known, row *Client) error {
	c := k.client(row.ID, row)
	c.UpdatedAt = k.fetchedAt
	if row.Name == c.Name && row.Kind == c.Kind && sameMetadata(row.Metadata, c.Metadata) {
		return s.saveDocument(ctx, kindMetadata, string(row.ID), "application/json", k.raw, k.fetchedAt, k.expiresAt)
	}
	metadata, err := json.Marshal(c.Metadata)
	if err != nil {
		return err
	}
	return s.change(ctx, func(ctx context.Context) error {
		n, err := s.d.DB.Q(ctx).Exec(ctx, sqlFollowClient, c.ID, c.Name, c.Kind, string(metadata), store.Micros(c.UpdatedAt), ManagedByDocument)
		if err != nil || n == 0 { // gone since
			return err
		}
		if err := s.saveDocument(ctx, kindMetadata, string(c.ID), "application/json", k.raw, k.fetchedAt, k.expiresAt); err != nil {
			return err
		}
		return s.record(ctx, "client.follow", c, map[string]string{"name": c.Name})
	})
}

// ErrDocumentsFull says that as many documents have a row as may, and all of them are in use.
var ErrDocumentsFull = errs.New(errs.Busy, "", errors.New("as many clients that are documents as oauth.max_client_documents allows, and something lives of each"))

// New reports whether a client is a document that has no row, so that Adopt would make one.
func (s *Service) New(ctx context.Context, cid id.Client) (bool, error) {
	if !strings.Contains(string(cid), "/") || s.d.Documents == nil {
		return false, nil
	}
	_, err := s.load(ctx, cid)
	if errs.Is(err, errs.NotFound) {
		return true, nil
	}
	return false, err
}

// Adopt gives a client that is a document its row, before somebody's consent or a device refers to
// it. For any other client it does nothing. It never fetches: the caller has just met the client.
func (s *Service) Adopt(ctx context.Context, cid id.Client) error {
	if !strings.Contains(string(cid), "/") || s.d.Documents == nil {
		return nil
	}
	row, err := s.load(ctx, cid)
	if err == nil {
		return s.Used(ctx, row) // so that no sweep takes the consent along
	}
	if !errs.Is(err, errs.NotFound) {
		return err
	}
	k := s.documents.get(cid)
	if k == nil {
		return nil // then the reference finds that there is none
	}
	c := k.client(cid, nil)
	c.CreatedAt = s.d.Clock.Now()
	metadata, err := json.Marshal(c.Metadata)
	if err != nil {
		return err
	}
	return s.change(ctx, func(ctx context.Context) error {
		n, err := s.d.DB.Q(ctx).Exec(ctx, sqlAdoptClient, c.ID, c.Name, c.Kind, c.Status, c.ManagedBy, string(metadata), store.Micros(c.CreatedAt))
		if err != nil || n == 0 {
			return err
		}
		if err := s.documentRoom(ctx); err != nil {
			return err
		}
		if err := s.saveDocument(ctx, kindMetadata, string(cid), "application/json", k.raw, k.fetchedAt, k.expiresAt); err != nil {
			return err
		}
		return s.record(ctx, "client.adopt", c, map[string]string{"name": c.Name})
	})
}

// Kinds of client_document rows.
const (
	kindMetadata = "metadata"
	kindLogo     = "logo"
)

type storedDocument struct {
	contentType, etag            string
	body                         []byte
	fetchedAt, expiresAt, usedAt time.Time
}

func (s *Service) loadDocument(ctx context.Context, kind, uri string) (*storedDocument, error) {
	var d storedDocument
	var fetched, expires, used int64
	err := s.d.DB.Q(ctx).QueryRow(ctx, sqlDocument, kind, uri).Scan(&d.contentType, &d.body, &d.etag, &fetched, &expires, &used)
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("document of a client: %w", err)
	}
	d.fetchedAt, d.expiresAt, d.usedAt = store.Time(fetched), store.Time(expires), store.Time(used)
	return &d, nil
}

func (s *Service) saveDocument(ctx context.Context, kind, uri, contentType string, body []byte, fetched, expires time.Time) error {
	_, err := s.d.DB.Q(ctx).Exec(ctx, sqlSaveDocument, kind, uri, contentType, body, id.Digest(string(body)), store.Micros(fetched), store.Micros(expires))
	return err
}

// documentKept is how long a copy that nobody used stays.
const documentKept = 30 * 24 * time.Hour

// DeleteDocuments deletes at most limit copies that nobody used for long.
func (s *Service) DeleteDocuments(ctx context.Context, limit int) (int64, error) {
	return s.d.DB.Q(ctx).Exec(ctx, sqlDeleteDocument, store.Micros(s.d.Clock.Now().Add(-documentKept)), limit)
}

func (d *documents) get(cid id.Client) *known {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known[cid]
}

func (d *documents) put(cid id.Client, k *known) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for other := range d.known {
		if len(d.known) < maxDocuments {
			break
		}
		delete(d.known, other)
	}
	d.known[cid] = k
}

func (d *documents) end(cid id.Client, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.known, cid)
	for other := range d.wrong {
		if len(d.wrong) < maxDocuments {
			break
		}
		delete(d.wrong, other)
	}
	d.wrong[cid] = now
}

func (d *documents) isWrong(cid id.Client, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.wrong[cid]
	if ok && now.Sub(at) >= documentWrong {
		delete(d.wrong, cid)
	}
	return ok && now.Sub(at) < documentWrong
}

// again reports whether the owner may be asked again now, and notes that it is.
func (d *documents) again(cid id.Client, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.known[cid]
	if k == nil || now.Sub(k.triedAt) < documentRetry {
		return false
	}
	k.triedAt = now
	return true
}

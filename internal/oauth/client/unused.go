package client

import (
	"context"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// Clients that no operator made end when nobody uses them: those in quarantine, and those that are a
// document. A sign-in notes its use (Used) before it writes its grant, on the row that the deletion is
// conditional on: either it comes first, and the client stays, or the client is gone, and no grant is
// written. Never is a grant written that a deletion takes along.

// idleDocument holds of a document of which nothing lives: no grant, and no application waits to be told
// of the end of a session. As subqueries they are index look-ups for sure. $2 is now.
const idleDocument = `managed_by = 'document' AND status = 'active' AND used_at > 0 AND used_at < $1
		AND COALESCE((SELECT 1 FROM standing_grant g WHERE g.client_id = client.id AND g.expires_at > $2 LIMIT 1), 0) = 0
		AND COALESCE((SELECT 1 FROM awaited_notice n WHERE n.client_id = client.id LIMIT 1), 0) = 0
		AND COALESCE((SELECT 1 FROM pending_notice n WHERE n.client_id = client.id LIMIT 1), 0) = 0`

const (
	sqlUsedRegistration = `UPDATE client_registration SET used_at = $2, expires_at = $3
WHERE client_id = $1 AND expires_at > 0 AND (used_at <= $4 OR used_at = created_at)`
	sqlUsedDocument = `UPDATE client SET used_at = $2 WHERE id = $1 AND managed_by = 'document' AND used_at <= $3`

	sqlUnusedRegistration = `SELECT client_id FROM client_registration WHERE expires_at > 0 AND expires_at <= $1 LIMIT 1`
	// The row that a use moves goes first, and only if none did (its own condition is looked at anew when
	// it was locked).
	sqlEndUnused = `DELETE FROM client_registration WHERE expires_at > 0 AND expires_at <= $1 AND client_id IN
	(SELECT client_id FROM client_registration WHERE expires_at > 0 AND expires_at <= $1 ORDER BY expires_at LIMIT $2) RETURNING client_id`

	// sqlDisplace takes the place of one client in quarantine through which nobody ever came in: of the
	// network that holds most of those, the oldest. A network's first few have a while to be used ($1)
	// before they can go; what it has beyond them ($2) can go at once.
	sqlDisplace = `DELETE FROM client_registration WHERE expires_at > 0 AND used_at = created_at AND client_id = (
	SELECT r.client_id FROM client_registration r JOIN (
		SELECT source, COUNT(*) AS held FROM client_registration WHERE expires_at > 0 AND used_at = created_at GROUP BY source) h ON h.source = r.source
	WHERE r.expires_at > 0 AND r.used_at = r.created_at AND (r.created_at <= $1 OR h.held > $2)
	ORDER BY h.held DESC, r.created_at, r.client_id LIMIT 1) RETURNING client_id`

	// Of rows that an earlier release wrote it is not known when they were used: their time begins now.
	sqlStampDocuments  = `UPDATE client SET used_at = $1 WHERE managed_by = 'document' AND used_at = 0`
	sqlUnusedDocument  = `SELECT id FROM client WHERE ` + idleDocument + ` LIMIT 1`
	sqlDeleteDocuments = `DELETE FROM client WHERE managed_by = 'document' AND used_at < $1 AND id IN
	(SELECT id FROM client WHERE ` + idleDocument + ` ORDER BY used_at LIMIT $3) RETURNING id`
	sqlCountDocuments = `SELECT COUNT(*) FROM client WHERE managed_by = 'document' AND status = 'active'`
)

const (
	usedEvery = time.Hour // how often a use is noted
	// A client in quarantine has so long to be used before others can take its place, unless its network
	// holds more than newShare that nobody used.
	newFor   = 30 * time.Minute
	newShare = 3
	// documentIdle is how long nobody came in through a document whose place another one can take.
	documentIdle = 24 * time.Hour
)

// Used notes that a person comes in through the client, before the grant is written: that keeps a client
// in quarantine, and a document. For any other it does nothing.
func (s *Service) Used(ctx context.Context, c *Client) error {
	now := s.d.Clock.Now()
	before := store.Micros(now.Add(-usedEvery))
	if c.ManagedBy == ManagedByDocument {
		_, err := s.d.DB.Q(ctx).Exec(ctx, sqlUsedDocument, c.ID, store.Micros(now), before)
		return errs.Wrap("note use of client", err)
	}
	if !c.Metadata.Quarantined {
		return nil
	}
	used := max(store.Micros(now), store.Micros(c.CreatedAt)+1) // differs from the time of registration
	_, err := s.d.DB.Q(ctx).Exec(ctx, sqlUsedRegistration, c.ID, used, store.Micros(now.Add(s.d.UnusedFor)), before)
	return errs.Wrap("note use of client", err)
}

// DeleteUnused deletes at most limit clients in quarantine through which nobody came in for too long.
func (s *Service) DeleteUnused(ctx context.Context, limit int) (int64, error) {
	now := store.Micros(s.d.Clock.Now())
	return s.sweep(ctx, "client.expire", sqlUnusedRegistration, []any{now}, sqlEndUnused, []any{now, limit})
}

// DeleteUnusedDocuments deletes at most limit clients that are documents, through which nobody came in
// for too long and of which nothing lives, with the consents to them. One that an operator disabled stays,
// else it would be back with the next visitor.
func (s *Service) DeleteUnusedDocuments(ctx context.Context, limit int) (int64, error) {
	if s.d.Documents == nil { // switched off: what is there waits
		return 0, nil
	}
	now := s.d.Clock.Now()
	if _, err := s.d.DB.Q(ctx).Exec(ctx, sqlStampDocuments, store.Micros(now)); err != nil {
		return 0, err
	}
	args := []any{store.Micros(now.Add(-max(s.d.Documents.UnusedFor, documentIdle))), store.Micros(now)}
	return s.sweep(ctx, "client.expire", sqlUnusedDocument, args, sqlDeleteDocuments, append(args, limit))
}

// sweep deletes the clients that a statement returns, if there is one to look for.
func (s *Service) sweep(ctx context.Context, action, look string, lookArgs []any, end string, endArgs []any) (int64, error) {
	if any, err := s.ids(ctx, look, lookArgs...); err != nil || len(any) == 0 {
		return 0, err // nothing to tell other instances
	}
	var gone []id.Client
	err := s.change(ctx, func(ctx context.Context) (err error) {
		if gone, err = s.ids(ctx, end, endArgs...); err != nil {
			return err
		}
		return s.gone(ctx, action, gone)
	})
	if err != nil {
		return 0, err
	}
	return int64(len(gone)), nil
}

// gone deletes clients whose place was taken, with all that hangs on them, and records it.
func (s *Service) gone(ctx context.Context, action string, list []id.Client) error {
	for _, cid := range list {
		if _, err := s.d.DB.Q(ctx).Exec(ctx, sqlDeleteClient, cid); err != nil {
			return err
		}
		if _, err := s.d.DB.Q(ctx).Exec(ctx, sqlForgetDocument, kindMetadata, string(cid)); err != nil {
			return err
		}
		if err := s.d.Audit.Record(ctx, audit.Event{Action: action, Result: audit.OK, Actor: "signet", Target: string(cid), Client: cid}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) ids(ctx context.Context, sql string, args ...any) ([]id.Client, error) {
	return store.All(ctx, s.d.DB.Q(ctx), func(r store.Row) (cid id.Client, err error) {
		err = r.Scan(&cid)
		return cid, err
	}, sql, args...)
}

// room makes room for one more client in quarantine, of which there may be most, in the transaction that
// adds it. Only such go as nobody ever used: whoever floods us displaces his own first.
func (s *Service) room(ctx context.Context, most int) error {
	var waiting int64
	if err := s.d.DB.Q(ctx).QueryRow(ctx, sqlCountQuarantine).Scan(&waiting); err != nil || waiting < int64(most) {
		return err
	}
	list, err := s.ids(ctx, sqlDisplace, store.Micros(s.d.Clock.Now().Add(-newFor)), newShare)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errs.Retry(errs.Busy, "", newFor)
	}
	return s.gone(ctx, "client.displace", list)
}

// documentRoom is room for documents, after one more was added: the one goes that was not used for the
// longest time, and never one of which anything lives.
func (s *Service) documentRoom(ctx context.Context) error {
	var there int64
	if err := s.d.DB.Q(ctx).QueryRow(ctx, sqlCountDocuments).Scan(&there); err != nil || there <= int64(s.d.Documents.Most) {
		return err
	}
	now := s.d.Clock.Now()
	list, err := s.ids(ctx, sqlDeleteDocuments, store.Micros(now.Add(-documentIdle)), store.Micros(now), 1)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return ErrDocumentsFull
	}
	return s.gone(ctx, "client.displace", list)
}

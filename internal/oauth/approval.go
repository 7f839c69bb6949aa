package oauth

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/store"
)

// MissingConsent returns what the request asks for beyond what the user granted the client; empty
// means that there is nothing to ask. First-party clients never ask. A public client that is
// reached through a custom scheme or the loopback interface always asks for everything, because
// any program on the device can take its place (RFC 8252 §8.6): what was approved within a journey
// counts for that journey only.
func (e *Engine) MissingConsent(ctx context.Context, r *Request, user id.User) (scopes, resources []string, err error) {
	c, err := e.clients.Get(ctx, r.ClientID)
	if errs.Is(err, errs.NotFound) {
		return nil, nil, noClient()
	}
	if err != nil {
		return nil, nil, AsError(err)
	}
	if c.Metadata.FirstParty {
		return nil, nil, nil
	}
	// What the details say is not kept with the consent, so they are asked about each time (RFC 9396 §12).
	if impersonable(c, r.RedirectURI) || len(r.Details) > 0 {
		return r.ConsentScopes(), r.Resources, nil
	}
	have, err := e.consents.Find(ctx, user, r.ClientID)
	if err != nil {
		return nil, nil, AsError(err)
	}
	scopes, resources = have.Missing(r.ConsentScopes(), r.Resources)
	if len(scopes) == 0 && len(resources) == 0 && !have.CreatedAt.IsZero() {
		r.covered = consentMark{user, store.Micros(have.UpdatedAt)}
	}
	return scopes, resources, nil
}

// impersonable reports whether the redirect does not prove which application receives it.
func impersonable(c *client.Client, redirect string) bool {
	if !c.Public() {
		return false
	}
	u, err := url.Parse(redirect)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return true
	}
	return slices.Contains(loopbackHosts, u.Hostname())
}

// loopbackHosts are this machine, whosever it is (RFC 8252 §7.3).
var loopbackHosts = []string{"127.0.0.1", "::1", "localhost"}

// consentVersion returns the version of the consent that covers the request, 0 for a first-party
// client, or consent_required.
func (e *Engine) consentVersion(ctx context.Context, c *client.Client, r *Request, user id.User) (int64, error) {
	if c.Metadata.FirstParty {
		return 0, nil
	}
	if r.covered.version != 0 && r.covered.user == user {
		return r.covered.version, nil // the write checks that it still stands
	}
	have, err := e.consents.Find(ctx, user, c.ID)
	if err != nil {
		return 0, err
	}
	if s, res := have.Missing(r.ConsentScopes(), r.Resources); len(s) > 0 || len(res) > 0 || have.CreatedAt.IsZero() {
		return 0, refuse(ConsentRequired, "The user has not consented.")
	}
	return store.Micros(have.UpdatedAt), nil
}

// Approve records that the user consents to all that the request asks for. Admit goes before it.
func (e *Engine) Approve(ctx context.Context, r *Request, user id.User) error {
	r.covered = consentMark{}
	if err := e.adopt(ctx, r.ClientID); err != nil {
		return err
	}
	err := e.consents.Approve(ctx, user, r.ClientID, r.ConsentScopes(), r.Resources)
	if errors.Is(err, store.ErrForeignKey) {
		return noClient().because(err)
	}
	return err
}

// adoptBudget bounds how many applications one person brings here that nobody registered: each is a row, and
// of those there are only so many (client.ErrDocumentsFull).
var adoptBudget = ratelimit.Budget{Name: "document-account", Limit: 20, Per: 24 * time.Hour}

// Admit counts an application that is a document and new here, before somebody consents to it (Approve). It
// is not for a transaction (ratelimit.Reserve).
func (e *Engine) Admit(ctx context.Context, r *Request, user id.User) error {
	is, err := e.clients.New(ctx, r.ClientID)
	if err != nil || !is {
		return err
	}
	if e.limits == nil {
		return refuse(UnauthorizedClient, "Applications that nobody registered cannot come in here.")
	}
	_, err = e.limits.Reserve(ctx, ratelimit.Key{Budget: adoptBudget, Value: string(user)})
	return err
}

// adopt gives an application that is a document its row.
func (e *Engine) adopt(ctx context.Context, cid id.Client) error {
	err := e.clients.Adopt(ctx, cid)
	if errors.Is(err, client.ErrDocumentsFull) {
		e.log.WarnContext(ctx, "an application was not admitted", "client", string(cid), "error", err.Error())
		out := refuse(TemporarilyUnavailable, "No more applications that nobody registered here are admitted at the moment.").because(err)
		out.RetryAfter = time.Hour
		return out
	}
	return err
}

// revokeAll ends the grants that a statement names by a key ($1, and more after the time), and
// records it if there were any.
func (e *Engine) revokeAll(ctx context.Context, reason, sql, key string, more ...any) error {
	return e.db.InTx(ctx, func(ctx context.Context) error {
		n, err := e.db.Q(ctx).Exec(ctx, sql, append([]any{key, store.Micros(e.clock.Now())}, more...)...)
		if err != nil || n == 0 {
			return err
		}
		return e.audit.Record(ctx, audit.Event{
			Action: "grant.revoked", Result: audit.OK, Target: key, Detail: map[string]string{"reason": reason},
		})
	})
}

// RevokeClient withdraws the user's consent for the client, ends every grant under it and tells it.
func (e *Engine) RevokeClient(ctx context.Context, user id.User, c id.Client) error {
	return e.db.InTx(ctx, func(ctx context.Context) error {
		had, err := e.consents.Revoke(ctx, user, c)
		if err == nil && e.logout != nil {
			_, err = e.logout.EndClient(ctx, user, c)
		}
		if err != nil {
			return err
		}
		n, err := e.db.Q(ctx).Exec(ctx, sqlRevokeClient, string(user), string(c), store.Micros(e.clock.Now()))
		if err != nil || n == 0 && !had {
			return err
		}
		return e.audit.Record(ctx, audit.Event{
			Action: "consent.revoked", Result: audit.OK, Actor: string(user), Target: string(user), Client: c,
		})
	})
}

// Application is a client that may act for a user.
type Application struct {
	Client     id.Client
	Name       string
	Scopes     []string
	GrantedAt  time.Time
	LastUsedAt time.Time // zero if it was never used
}

// Applications lists the clients that a user consented to or that hold a live grant, by name.
func (e *Engine) Applications(ctx context.Context, user id.User) ([]Application, error) {
	consents, err := e.consents.List(ctx, user)
	if err != nil {
		return nil, err
	}
	found := map[id.Client]*Application{}
	for _, c := range consents {
		found[c.Client] = &Application{Client: c.Client, Scopes: c.Scopes, GrantedAt: c.CreatedAt}
	}
	grants, err := store.All(ctx, e.db.Q(ctx), scanApplication, sqlApplications, string(user), store.Micros(e.clock.Now()))
	if err != nil {
		return nil, err
	}
	for _, g := range grants {
		a := found[g.Client]
		if a == nil {
			a = &Application{Client: g.Client, GrantedAt: g.GrantedAt}
			found[g.Client] = a
		}
		a.Scopes = union(a.Scopes, g.Scopes)
		if g.LastUsedAt.After(a.LastUsedAt) {
			a.LastUsedAt = g.LastUsedAt
		}
	}
	list := make([]Application, 0, len(found))
	for cid, a := range found {
		c, err := e.clients.Recorded(ctx, cid)
		switch {
		case errs.Is(err, errs.NotFound):
			continue // deleted between the two reads
		case err != nil:
			return nil, err
		}
		a.Name = c.Name
		list = append(list, *a)
	}
	slices.SortFunc(list, func(a, b Application) int {
		return strings.Compare(a.Name+"\x00"+string(a.Client), b.Name+"\x00"+string(b.Client))
	})
	return list, nil
}

func scanApplication(r store.Row) (a Application, err error) {
	var scopes string
	var granted, used int64
	if err := r.Scan((*string)(&a.Client), &scopes, &granted, &used); err != nil {
		return a, err
	}
	a.GrantedAt, a.LastUsedAt = store.Time(granted), store.Time(used)
	a.Scopes = decodeList(scopes, &err)
	return a, err
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

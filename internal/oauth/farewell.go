package oauth

import (
	"context"
	"net/url"
	"slices"

	"signet/internal/oauth/client"
	"signet/internal/oauth/logout"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

// ending is what the end of a session needs.
type ending struct {
	logout     *logout.Service // nil: no application is told
	browserKey []byte          // of the browser states (OIDC Session Management §3.2)
}

func (e *Engine) endWith(d Deps) ending {
	if d.Logout != nil {
		d.Logout.Tokens(e.logoutToken)
	}
	return ending{d.Logout, d.Seal.Subkey("browser-state")}
}

// Farewell is what the end of a session leaves to be done in its browser, and to be said.
type Farewell struct {
	// Frames are addresses to load in hidden frames (OIDC Front-Channel Logout §3).
	Frames []string
	// Apps are the names of the applications that are told, by whichever channel.
	Apps []string
}

// maxFrames is how many applications one page tells. A browser that loads more at once helps nobody;
// the back channel has no limit.
const maxFrames = 32

// RevokeSession ends every grant that was made in the session and queues the notices to its
// applications, for whoever ends the session on purpose (decision 0006). It joins the transaction in
// which the session ends, so that none of the three happens without the others.
func (e *Engine) RevokeSession(ctx context.Context, s id.Session) (Farewell, error) {
	var out Farewell
	if s == "" {
		return out, nil
	}
	err := e.db.InTx(ctx, func(ctx context.Context) error {
		if err := e.revokeAll(ctx, "session ended", sqlRevokeSession, string(s)); err != nil || e.logout == nil {
			return err
		}
		parties, err := e.logout.EndSession(ctx, s)
		if err != nil {
			return err
		}
		out, err = e.farewell(ctx, parties)
		return err
	})
	return out, err
}

// LeaveSession tells the applications of a session that ended because somebody else signed in in its
// browser, or because there were too many: its grants live on, as after an idle expiry.
func (e *Engine) LeaveSession(ctx context.Context, s id.Session) error {
	if e.logout == nil {
		return nil
	}
	return e.db.InTx(ctx, func(ctx context.Context) error {
		_, err := e.logout.EndSession(ctx, s)
		return err
	})
}

// RevokeUser ends every grant of the user but those made in one session ("" for none), the offline
// grants of sessions long gone included, and queues the notices to their applications. Consents stay.
func (e *Engine) RevokeUser(ctx context.Context, u id.User, except id.Session) error {
	return e.db.InTx(ctx, func(ctx context.Context) error {
		if err := e.revokeAll(ctx, "all other sign-ins ended", sqlRevokeUser, string(u), string(except)); err != nil || e.logout == nil {
			return err
		}
		_, err := e.logout.EndUser(ctx, u, except)
		return err
	})
}

// farewell says what the parties of one session need.
func (e *Engine) farewell(ctx context.Context, parties []logout.Party) (Farewell, error) {
	var out Farewell
	for _, p := range parties {
		c, err := e.clients.Recorded(ctx, p.Client)
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err != nil {
			return out, err
		}
		uri, usable := c.Frame()
		framed := e.policy.FrontchannelLogout && usable && len(out.Frames) < maxFrames
		if e.policy.FrontchannelLogout && uri != "" && !usable {
			e.log.WarnContext(ctx, "an application is not signed out by a frame: no page can be limited to the host of its frontchannel_logout_uri",
				"client", string(c.ID))
		}
		if framed {
			out.Frames = append(out.Frames, e.frame(c, p.Session))
		}
		if framed || c.Metadata.BackchannelLogoutURI != "" {
			out.Apps = append(out.Apps, c.Name)
		}
	}
	slices.Sort(out.Apps)
	return out, nil
}

// frame is the address that signs a browser out of an application: with iss and sid, both or none, and
// beside what is registered in its query (OIDC Front-Channel Logout §2, §3).
func (e *Engine) frame(c *client.Client, s id.Session) string {
	uri := c.Metadata.FrontchannelLogoutURI
	if !c.Metadata.FrontchannelLogoutSession {
		return uri
	}
	return addQuery(uri, url.Values{"iss": {e.issuer}, "sid": {e.sidOf(c, s)}}.Encode())
}

// joined runs the write of a grant. For an application that wants to know when the session ends, the
// promise to tell it is made in the same transaction; for all others nothing is added.
func (e *Engine) joined(ctx context.Context, c *client.Client, l Login, write func(context.Context) error) error {
	if e.logout == nil || l.Session == "" || !logout.Concerns(c) {
		return write(ctx)
	}
	return e.db.InTx(ctx, func(ctx context.Context) error {
		if err := write(ctx); err != nil {
			return err
		}
		return e.logout.Join(ctx, logout.Party{Session: l.Session, Client: c.ID, User: l.User, Subject: e.subjectOf(c, l.User)})
	})
}

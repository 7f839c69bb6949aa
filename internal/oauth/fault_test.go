package oauth

import (
	"fmt"
	"testing"

	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store/storetest"
)

// fault is a flow to be broken at each of its statements: prepare gives what act uses up, and
// after checks what must hold once act has failed.
type fault struct {
	prepare func(r *rig, c id.Client) string
	act     func(d *rig, c id.Client, what string) error
	after   func(t *testing.T, r *rig, c id.Client, what string, lost bool)
}

// TestFaults breaks every statement of every writing flow, before it has an effect and after it,
// with the answer lost: no half state, and trying again gives a clean answer (RL cases).
func TestFaults(t *testing.T) {
	t.Parallel()
	flows := map[string]fault{
		"authorize": {
			func(*rig, id.Client) string { return "" },
			func(d *rig, c id.Client, _ string) error { _, err := d.tryCode(ask(c)); return err },
			func(t *testing.T, r *rig, c id.Client, _ string, _ bool) { r.tokens(c) },
		},
		"approve": {
			func(*rig, id.Client) string { return "" },
			func(d *rig, c id.Client, _ string) error {
				return d.Approve(t.Context(), &Request{ClientID: c, Scopes: []string{"openid"}}, d.user)
			},
			func(t *testing.T, r *rig, c id.Client, _ string, _ bool) {
				if n := r.count(`SELECT COUNT(*) FROM consent`) - r.audited("consent.granted"); n != 0 {
					t.Errorf("consent and audit differ by %d", n)
				}
			},
		},
		"exchange": {
			func(r *rig, c id.Client) string { return r.code(ask(c)) },
			func(d *rig, c id.Client, code string) error { _, err := d.exchange(c, code); return err },
			func(t *testing.T, r *rig, c id.Client, code string, lost bool) {
				tok, err := r.exchange(c, code)
				cleanRetry(t, r, c, tok, err, lost)
			},
		},
		"exchange again": { // the reuse path
			func(r *rig, c id.Client) string {
				code := r.code(ask(c))
				_, err := r.exchange(c, code)
				check(r.t, err)
				return code
			},
			func(d *rig, c id.Client, code string) error { return unexpected(d.exchange(c, code)) },
			func(t *testing.T, r *rig, c id.Client, code string, _ bool) {
				_, err := r.exchange(c, code)
				wantCode(t, err, InvalidGrant)
				if n := r.count(`SELECT COUNT(*) FROM oauth_grant WHERE client_id = $1 AND revoked_at = 0`, string(c)); n != 0 {
					t.Error("the grant of a reused code is alive")
				}
			},
		},
		"refresh": {
			func(r *rig, c id.Client) string { return r.tokens(c).RefreshToken },
			func(d *rig, c id.Client, token string) error { _, err := d.refresh(c, token); return err },
			func(t *testing.T, r *rig, c id.Client, token string, lost bool) {
				tok, err := r.refresh(c, token)
				cleanRetry(t, r, c, tok, err, lost)
			},
		},
		"revoke refresh": {
			func(r *rig, c id.Client) string { return r.tokens(c).RefreshToken },
			revokeAs,
			func(t *testing.T, r *rig, c id.Client, token string, _ bool) {
				check(t, revokeAs(r, c, token))
				_, err := r.refresh(c, token)
				wantCode(t, err, InvalidGrant)
			},
		},
		"revoke access": {
			func(r *rig, c id.Client) string { return r.tokens(c).AccessToken },
			revokeAs,
			func(t *testing.T, r *rig, c id.Client, token string, _ bool) {
				check(t, revokeAs(r, c, token))
				if r.active(c, token) {
					t.Error("a revoked token is active")
				}
			},
		},
		"revoke application": {
			func(r *rig, c id.Client) string { return r.tokens(c).RefreshToken },
			func(d *rig, c id.Client, _ string) error { return d.RevokeClient(t.Context(), d.user, c) },
			func(t *testing.T, r *rig, c id.Client, token string, _ bool) {
				// The transaction failed, so nothing of it may be there.
				alive := r.count(`SELECT COUNT(*) FROM oauth_grant WHERE client_id = $1 AND revoked_at = 0`, string(c))
				audited := r.count(`SELECT COUNT(*) FROM audit_event WHERE client_id = $1 AND action = 'consent.revoked'`, string(c))
				if alive != 1 || audited != 0 {
					t.Errorf("half done: %d grants alive, %d audit events", alive, audited)
				}
				check(t, r.RevokeClient(t.Context(), r.user, c))
				_, err := r.refresh(c, token)
				wantCode(t, err, InvalidGrant)
			},
		},
	}
	for name, f := range flows {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			t.Run(name+" "+format, func(t *testing.T) {
				t.Parallel()
				each(t, func(r *rig) { breakFlow(t, r, format, f) })
			})
		}
	}
}

func breakFlow(t *testing.T, r *rig, format string, f fault) {
	for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
		for n := int64(1); ; n++ {
			c := r.newClient(client.Web, func(m *client.Metadata) { m.AccessTokenFormat = format })
			what := f.prepare(r, c)
			broken, count := storetest.FailAt(r.db, n, mode)
			err := f.act(r.again(r.db, broken), c, what)
			if count.Load() < n {
				if err != nil {
					t.Errorf("without a fault: %v", err)
				}
				break
			}
			if !errs.Is(err, errs.Unavailable) && AsError(err).Code != TemporarilyUnavailable {
				t.Errorf("statement %d, mode %d: %v, want unavailable", n, mode, err)
			}
			f.after(t, r, c, what, mode == storetest.After)
			if n > 20 {
				t.Fatal("no end of statements")
			}
		}
	}
}

// cleanRetry: tokens, or invalid_grant where the first attempt may have succeeded unheard.
func cleanRetry(t *testing.T, r *rig, c id.Client, tok *Tokens, err error, lost bool) {
	t.Helper()
	if err != nil {
		if wantCode(t, err, InvalidGrant); !lost {
			t.Errorf("a failure without effect used the code or token up: %v", err)
		}
		return
	}
	if !r.active(c, tok.AccessToken) {
		t.Error("the tokens of a second attempt are dead")
	}
	if _, err := r.refresh(c, tok.RefreshToken); err != nil {
		t.Errorf("the refresh token of a second attempt: %v", err)
	}
}

func revokeAs(d *rig, c id.Client, token string) error {
	h, form := d.as(c, values("token", token))
	return d.Revoke(d.t.Context(), post(h, form))
}

// unexpected keeps an invalid_grant, which is right here, from counting as a failure.
func unexpected(tok *Tokens, err error) error {
	switch {
	case err == nil:
		return fmt.Errorf("a used code gave %v", tok)
	case AsError(err).Code == InvalidGrant:
		return nil
	}
	return err
}

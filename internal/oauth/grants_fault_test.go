package oauth

import (
	"context"
	"testing"

	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store/storetest"
)

// grantFault is a flow to be broken at each of its statements, before each has an effect and after it, as
// in TestFaults.
type grantFault struct {
	prepare func(r *rig, c id.Client) string
	act     func(d *rig, c id.Client, what string) error
	after   func(t *testing.T, r *rig, c id.Client, what string, lost bool)
}

// everyGrant registers a client that may use all grants.
func (r *rig) everyGrant(format string) id.Client {
	return r.newClient(client.Web, func(m *client.Metadata) {
		m.GrantTypes = append(m.GrantTypes, client.GrantDeviceCode, client.GrantTokenExchange, client.GrantJWTBearer)
		m.TrustedIssuers, m.AccessTokenFormat, m.FirstParty, m.Impersonates = []string{"ci"}, format, false, true
		m.Audiences = []string{testAPI, otherAPI}
	})
}

func TestFaults_Grants(t *testing.T) {
	t.Parallel()
	approved := func(r *rig, c id.Client) string {
		d := r.startDevice(c)
		check(r.t, r.decide(r.user, d.UserCode, true))
		return d.DeviceCode
	}
	flows := map[string]grantFault{
		"device request": {
			func(*rig, id.Client) string { return "" },
			func(d *rig, c id.Client, _ string) error {
				_, err := d.tryDevice(context.Background(), c, "scope", "openid")
				return err
			},
			func(t *testing.T, r *rig, c id.Client, _ string, _ bool) { r.startDevice(c) },
		},
		"device decision": {
			func(r *rig, c id.Client) string {
				d := r.startDevice(c)
				return d.UserCode + d.DeviceCode
			},
			func(d *rig, _ id.Client, codes string) error { return d.decide(d.user, codes[:9], true) },
			func(t *testing.T, r *rig, c id.Client, codes string, lost bool) {
				if n := r.count(`SELECT COUNT(*) FROM oauth_grant WHERE client_id = $1`, string(c)) - r.count(`SELECT COUNT(*) FROM audit_event WHERE action = 'device.approved' AND client_id = $1`, string(c)); n != 0 {
					t.Errorf("grants and records differ by %d", n)
				}
				if err := r.decide(r.user, codes[:9], true); err != nil && (!lost || !errs.Is(err, errs.NotFound)) {
					t.Errorf("a second attempt: %v", err)
				}
				tok, err := r.poll(c, codes[9:])
				check(t, err)
				if !r.active(c, tok.AccessToken) {
					t.Error("not active")
				}
			},
		},
		"device poll": {
			func(r *rig, c id.Client) string { return r.startDevice(c).DeviceCode },
			func(d *rig, c id.Client, code string) error {
				_, err := d.poll(c, code)
				if e := AsError(err); err != nil && (e.Code == AuthorizationPending || e.Code == SlowDown) {
					return nil
				}
				return err
			},
			func(t *testing.T, r *rig, c id.Client, code string, _ bool) {
				if _, err := r.poll(c, code); AsError(err).Code != AuthorizationPending && AsError(err).Code != SlowDown {
					t.Error(err)
				}
			},
		},
		"device redemption": {
			approved,
			func(d *rig, c id.Client, code string) error { _, err := d.poll(c, code); return err },
			func(t *testing.T, r *rig, c id.Client, code string, lost bool) {
				tok, err := r.poll(c, code)
				cleanRetry(t, r, c, tok, err, lost)
			},
		},
		"exchange": {
			func(r *rig, c id.Client) string {
				check(r.t, r.Approve(context.Background(), &Request{ClientID: c, Scopes: []string{"openid", "profile", "offline_access", "read"}}, r.user))
				return r.tokens(c).AccessToken
			},
			func(d *rig, c id.Client, token string) error { _, err := d.trade(c, token); return err },
			func(t *testing.T, r *rig, c id.Client, token string, _ bool) {
				tok, err := r.trade(c, token)
				check(t, err)
				if !r.active(c, tok.AccessToken) {
					t.Error("not active")
				}
			},
		},
		"assertion": {
			func(r *rig, c id.Client) string {
				check(r.t, r.Approve(context.Background(), &Request{ClientID: c, Scopes: []string{"read"}}, r.user))
				return r.assertion(nil)
			},
			func(d *rig, c id.Client, assertion string) error {
				_, err := d.assert(c, assertion, "scope", "read")
				return err
			},
			func(t *testing.T, r *rig, c id.Client, assertion string, lost bool) {
				tok, err := r.assert(c, assertion, "scope", "read")
				if err != nil {
					if wantCode(t, err, InvalidGrant); !lost {
						t.Error("a failure without effect used the assertion up")
					}
					return
				}
				if !r.active(c, tok.AccessToken) {
					t.Error("not active")
				}
			},
		},
	}
	for name, f := range flows {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			t.Run(name+" "+format, func(t *testing.T) {
				t.Parallel()
				each(t, func(r *rig) { breakGrant(t, r, format, f) })
			})
		}
	}
}

func breakGrant(t *testing.T, r *rig, format string, f grantFault) {
	for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
		for n := int64(1); ; n++ {
			r.exec(`DELETE FROM attempt_budget`)
			c := r.everyGrant(format)
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

package oauth

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/outbox"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// deliver attempts what is due and returns what became of the newest ping.
func (r *rig) deliver() outbox.Item {
	r.t.Helper()
	_, err := r.outbox.Deliver(context.Background())
	check(r.t, err)
	list := must(r.outbox.List(context.Background(), outbox.Filter{Kind: PingKind, Limit: 1}))
	if len(list) == 0 {
		return outbox.Item{}
	}
	return list[0]
}

// CIBA §10.2: either decision rings once, with the token and the request in its forms; what the answer says
// is not read; the tokens are fetched afterwards. Who polls is left alone.
func TestCIBAPing_Rings(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		b := newBell(t, http.StatusOK)
		c := r.bank(b.pinging)
		for i, allow := range []bool{true, false} {
			a := r.askSomebody(c, "client_notification_token", testToken)
			if r.deliver(); len(b.heard()) != i {
				t.Fatal("told before anybody decided")
			}
			check(t, r.answerAsked(r.user, allow))
			if item := r.deliver(); item.State != outbox.Done || item.Recipient != string(c) || item.Attempts != 1 {
				t.Errorf("%+v", item)
			}
			r.clock.Advance(time.Minute)
			r.deliver()
			got := b.heard()
			if len(got) != i+1 || got[i].method != http.MethodPost || got[i].auth != "Bearer "+testToken || got[i].contentType != "application/json" {
				t.Fatalf("%+v", got)
			}
			var body map[string]string
			check(t, json.Unmarshal([]byte(got[i].body), &body))
			if len(body) != 1 || body["auth_req_id"] != a.AuthReqID {
				t.Errorf("%v", body)
			}
			tok, err := r.pollAsked(c, a.AuthReqID)
			if !allow {
				wantCode(t, err, AccessDenied)
			} else if check(t, err); !r.active(c, tok.AccessToken) {
				t.Error("not active")
			}
		}
		r.askSomebody(r.bank(nil))
		check(t, r.answerAsked(r.user, true))
		if n := r.count(`SELECT COUNT(*) FROM outbox WHERE kind = $1`, PingKind); n != 2 {
			t.Errorf("%d pings", n)
		}
	})
}

// CIBA §7.1: in ping mode the token is demanded, in the form of a bearer token, up to 1024 bytes.
func TestCIBAPing_Token(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	b := newBell(t, http.StatusOK)
	c := r.bank(b.pinging)
	for _, bad := range []string{"", "=", "with blank", "a=b", "é", "\"quoted\"", "a\r\nX: y", strings.Repeat("x", maxNotification+1)} {
		_, err := r.tryAsk(c, "client_notification_token", bad)
		wantCode(t, err, InvalidRequest)
	}
	for _, good := range []string{"x", "aZ09-._~+/==", strings.Repeat("x", maxNotification)} {
		r.askSomebody(r.bank(b.pinging), "client_notification_token", good)
	}
}

// Security case CB-07: what failed is tried again until the request is over; a refusal is final, and no
// redirect is followed (fapi-ciba-id1-ping-notification-endpoint-…).
func TestCIBAPing_Refusals(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		b := newBell(t, 0)
		c := r.bank(b.pinging)
		decided := func() {
			t.Helper()
			r.exec(`DELETE FROM attempt_budget`)
			r.askSomebody(c, "client_notification_token", testToken)
			check(t, r.answerAsked(r.user, true))
		}
		for _, status := range []int{401, 403, 400, 404, 301, 302, 307} {
			b.answers(status)
			decided()
			before := len(b.heard())
			if item := r.deliver(); item.State != outbox.Dead || !strings.Contains(item.LastError, "answered") {
				t.Errorf("%d: %+v", status, item)
			}
			r.clock.Advance(time.Minute)
			if r.deliver(); len(b.heard()) != before+1 {
				t.Errorf("%d: told %d times", status, len(b.heard())-before)
			}
		}
		for _, status := range []int{500, 503, 429, 408} {
			b.answers(status)
			decided()
			if item := r.deliver(); item.State != outbox.Pending || item.Attempts != 1 {
				t.Errorf("%d: %+v", status, item)
			}
			b.answers(http.StatusNoContent)
			r.clock.Advance(time.Minute)
			if item := r.deliver(); item.State != outbox.Done || item.Attempts != 2 {
				t.Errorf("%d, then 204: %+v", status, item)
			}
		}
		b.answers(500)
		decided()
		r.deliver()
		r.clock.Advance(6 * time.Minute) // the request is over
		before := len(b.heard())
		if item := r.deliver(); item.State != outbox.Dead || !strings.Contains(item.LastError, "expired") || len(b.heard()) != before {
			t.Errorf("%+v", item)
		}
		b.answers(204)
		decided()
		r.edit(c, func(m *client.Metadata) { m.CIBADelivery, m.CIBANotification = "", "" })
		if item := r.deliver(); item.State != outbox.Dead || len(b.heard()) != before {
			t.Errorf("a client that polls by now: %+v", item)
		}
		r.edit(c, b.pinging)
		decided()
		check(t, r.clients.Delete(t.Context(), c))
		if item := r.deliver(); item.State != outbox.Dead || len(b.heard()) != before {
			t.Errorf("a client that is gone: %+v", item)
		}
	})
}

// Security case CB-07, SS-01: nothing is posted into our network.
func TestCIBAPing_Guarded(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	r.ciba.ping = fetch.New(fetch.Options{AllowHTTP: true})
	b := newBell(t, http.StatusOK)
	c := r.bank(b.pinging)
	a := r.askSomebody(c, "client_notification_token", testToken)
	check(t, r.answerAsked(r.user, true))
	if item := r.deliver(); item.State != outbox.Pending || item.LastError == "" || len(b.heard()) != 0 {
		t.Errorf("%+v", item)
	}
	_, err := r.pollAsked(c, a.AuthReqID) // it can still ask
	check(t, err)
}

// A process that dies between the decision and the ping loses nothing: another one finds it in the outbox. One
// that dies after the ping and before its note rings again, for the same request.
func TestCIBAPing_SurvivesTheProcess(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		b := newBell(t, http.StatusNoContent)
		c := r.bank(b.pinging)
		a := r.askSomebody(c, "client_notification_token", testToken)
		check(t, r.answerAsked(r.user, true))
		next := r.again(r.db, r.db)
		r.exec(`UPDATE outbox SET claimed = TRUE, attempts = 1, due_at = $1 WHERE kind = $2`, store.Micros(r.clock.Now().Add(-time.Second)), PingKind)
		if item := next.deliver(); item.State != outbox.Done || item.Attempts != 2 {
			t.Errorf("%+v", item)
		}
		if got := b.heard(); len(got) != 1 || !strings.Contains(got[0].body, a.AuthReqID) {
			t.Errorf("%+v", got)
		}
	})
}

// Security case CB-02: the first decision counts, with its one grant, record and ping, of any number at once on two
// instances.
func TestRace_CIBADecisions(t *testing.T) {
	t.Parallel()
	eachTwo(t, func(a, b *rig) {
		door := newBell(t, http.StatusOK)
		c := a.bank(door.pinging)
		a.askSomebody(c, "client_notification_token", testToken)
		q := must(a.AskedOf(t.Context(), a.user))[0]
		turn := make(chan int, racers)
		for i := range racers {
			turn <- i
		}
		won, failed := race(a, b, func(r *rig) (bool, error) {
			allow := <-turn%3 != 0
			return allow, r.DecideAsked(t.Context(), q, r.login(), allow)
		})
		if len(won) != 1 {
			t.Fatalf("%d decisions", len(won))
		}
		for _, err := range failed {
			if !errs.Is(err, errs.NotFound) {
				t.Fatalf("a loser got %v", err)
			}
		}
		if n := a.count(`SELECT COUNT(*) FROM audit_event WHERE action IN ('ciba.approved', 'ciba.denied')`); n != 1 {
			t.Errorf("%d decisions on record", n)
		}
		if n := a.count(`SELECT COUNT(*) FROM oauth_grant`); (n == 1) != won[0] {
			t.Errorf("%t with %d grants", won[0], n)
		}
		if n := a.count(`SELECT COUNT(*) FROM outbox WHERE kind = $1`, PingKind); n != 1 {
			t.Errorf("%d pings", n)
		}
	})
}

// One set of tokens, of any number of polls at once.
func TestRace_CIBAPolls(t *testing.T) {
	t.Parallel()
	eachTwo(t, func(a, b *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			c := a.bank(func(m *client.Metadata) { m.AccessTokenFormat = format })
			req := a.askSomebody(c).AuthReqID
			check(t, a.answerAsked(a.user, true))
			won, failed := race(a, b, func(r *rig) (*Tokens, error) { return r.pollAsked(c, req) })
			if len(won) != 1 {
				t.Fatalf("%s: %d sets of tokens", format, len(won))
			}
			onlyInvalidGrant(t, failed)
			if !b.active(c, won[0].AccessToken) {
				t.Error("the application lost its token because it asked twice")
			}
		}
		c := a.bank(nil)
		req := a.askSomebody(c).AuthReqID
		_, failed := race(a, b, func(r *rig) (*Tokens, error) { return r.pollAsked(c, req) })
		codes := map[string]int{}
		for _, err := range failed {
			codes[AsError(err).Code]++
		}
		if codes[AuthorizationPending] != 1 || codes[SlowDown] != racers-1 {
			t.Errorf("%v", codes)
		}
	})
}

// Each statement of asking and of deciding fails once, before it has an effect and after it: no half state is
// left, and nobody is told what did not happen.
func TestFaults_CIBA(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		b := newBell(t, http.StatusOK)
		for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
			for name, act := range map[string]func(d *rig, c id.Client) error{
				"ask": func(d *rig, c id.Client) error {
					_, err := d.tryAsk(c, "client_notification_token", testToken)
					return err
				},
				"allow": func(d *rig, _ id.Client) error { return d.answerAsked(d.user, true) },
				"deny":  func(d *rig, _ id.Client) error { return d.answerAsked(d.user, false) },
			} {
				for n := int64(1); ; n++ {
					r.exec(`DELETE FROM attempt_budget`)
					r.exec(`DELETE FROM ciba_request`)
					c := r.bank(b.pinging)
					if name != "ask" {
						r.askSomebody(c, "client_notification_token", testToken)
					}
					broken, count := storetest.FailAt(r.db, n, mode)
					d := r.again(r.db, broken)
					err := act(d, c)
					if count.Load() < n {
						check(t, err)
						break
					}
					if !errs.Is(err, errs.Unavailable) && AsError(err).Code != TemporarilyUnavailable {
						t.Errorf("%s, statement %d, mode %d: %v, want unavailable", name, n, mode, err)
					}
					sum := func(what string, list ...int64) {
						t.Helper()
						if slices.Min(list) != slices.Max(list) {
							t.Errorf("%s, statement %d, mode %d: %s differ: %v", name, n, mode, what, list)
						}
					}
					sum("decisions, records and pings", r.count(`SELECT COUNT(*) FROM ciba_request WHERE client_id = $1 AND status <> 'pending'`, string(c)),
						r.count(`SELECT COUNT(*) FROM audit_event WHERE client_id = $1 AND action IN ('ciba.approved', 'ciba.denied')`, string(c)),
						r.count(`SELECT COUNT(*) FROM outbox WHERE recipient = $1`, string(c)))
					sum("approvals and grants", r.count(`SELECT COUNT(*) FROM ciba_request WHERE client_id = $1 AND status = 'approved'`, string(c)),
						r.count(`SELECT COUNT(*) FROM oauth_grant WHERE client_id = $1`, string(c)))
					sum("requests and their records", r.count(`SELECT COUNT(*) FROM ciba_request WHERE client_id = $1`, string(c)),
						r.count(`SELECT COUNT(*) FROM audit_event WHERE client_id = $1 AND action = 'ciba.asked'`, string(c)))
					if n > 30 {
						t.Fatal("no end of statements")
					}
				}
			}
		}
	})
}

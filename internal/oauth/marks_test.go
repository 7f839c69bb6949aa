package oauth

import (
	"context"
	"net/http"
	"testing"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/id"
)

// TestMarks_OfStrangersAreBounded, security case RG-13: a client that made itself does not fill the store with
// marks of its assertions; one that an operator made is not even counted, and costs no statement more.
func TestMarks_OfStrangersAreBounded(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		k := newClientKey(r.t)
		keyed := func(quarantined bool) id.Client {
			return r.newClient(client.Machine, func(m *client.Metadata) {
				m.AuthMethod, m.JWKS, m.Quarantined = client.PrivateKeyJWT, k.jwks(r.t), quarantined
			})
		}
		send := func(c id.Client, assertion string) error {
			_, err := r.Token(r.t.Context(), post(http.Header{}, credentialsForm("client_assertion_type", assertionType, "client_assertion", assertion)))
			return err
		}
		fresh := func(c id.Client) string { return k.assertion(r.t, r.assertionClaims(c, nil), nil) }
		known, strange, other := keyed(false), keyed(true), keyed(true)
		check(r.t, send(known, fresh(known)))
		if n := r.count(`SELECT COUNT(*) FROM attempt_budget`); n != 0 {
			r.t.Errorf("an operator's client is counted %d times", n)
		}
		foreign := newClientKey(r.t) // what is not signed by the client draws on nothing of it
		for range 20 {
			wantCode(r.t, send(strange, foreign.assertion(r.t, r.assertionClaims(strange, nil), nil)), InvalidClient)
		}
		for range markBudget.Limit {
			check(r.t, send(strange, fresh(strange)))
		}
		last := fresh(strange)
		out := AsError(send(strange, last))
		if out.Status != http.StatusTooManyRequests || out.RetryAfter <= 0 || out.Code != TemporarilyUnavailable {
			r.t.Errorf("one too many: %+v", out)
		}
		if n := r.count(`SELECT COUNT(*) FROM client_assertion WHERE client_id = $1`, string(strange)); n != int64(markBudget.Limit) {
			r.t.Errorf("%d marks", n)
		}
		check(r.t, send(other, fresh(other)))
		check(r.t, send(known, fresh(known)))
		r.clock.Advance(out.RetryAfter)
		check(r.t, send(strange, fresh(strange))) // it goes on when there is room again
	})
}

// TestMarks_OfProofs: so it is with DPoP proofs, at the token endpoint and at userinfo, where it is 429 and not
// the 401 of a proof that does not do.
func TestMarks_OfProofs(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, func(m *client.Metadata) { m.Quarantined = true })
	p := newProver(t)
	tok, err := r.postProven(c, exchangeForm(r.code(ask(c))), p.proof(r))
	check(t, err)
	for range markBudget.Limit - 1 {
		check(t, r.userinfo("DPoP", tok.AccessToken, &p))
	}
	if out := AsError(r.userinfo("DPoP", tok.AccessToken, &p)); out.Status != http.StatusTooManyRequests || out.RetryAfter <= 0 {
		t.Errorf("userinfo: %+v", out)
	}
	if _, err := r.postProven(c, exchangeForm(r.code(ask(c))), p.proof(r)); AsError(err).Status != http.StatusTooManyRequests {
		t.Errorf("token: %v", err)
	}
	known := r.newClient(client.Web, nil)
	if _, err := r.postProven(known, exchangeForm(r.code(ask(known))), p.proof(r)); err != nil {
		t.Errorf("an operator's: %v", err)
	}
}

// TestMarks_NobodyElses, security case RG-13: where the client proves nothing of itself, neither who pushes in its
// name nor one of its users takes away what its other users need.
func TestMarks_NobodyElses(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.SPA, func(m *client.Metadata) { m.Quarantined = true })
	from := func(ip string) context.Context { return audit.WithSource(t.Context(), audit.Source{IP: ip}) }
	push := func(ctx context.Context) error {
		h, form := r.as(c, ask(c))
		_, err := r.Push(ctx, proven(post(h, form), newProver(t).proof(r)))
		return err
	}
	for range markBudget.Limit {
		check(t, push(from("192.0.2.1")))
	}
	if err := push(from("192.0.2.1")); AsError(err).Status != http.StatusTooManyRequests {
		t.Errorf("one too many: %v", err)
	}
	p := newProver(t)
	greedy, err := r.postProven(c, exchangeForm(r.code(ask(c))), p.proof(r))
	if err != nil {
		t.Fatalf("a user, after a stranger pushed in the client's name: %v", err)
	}
	for range markBudget.Limit - 1 {
		check(t, r.userinfo("DPoP", greedy.AccessToken, &p))
	}
	if out := AsError(r.userinfo("DPoP", greedy.AccessToken, &p)); out.Status != http.StatusTooManyRequests {
		t.Errorf("one too many: %+v", out)
	}
	r.user = r.newUser()
	r.session = r.newSession(r.user)
	if _, err := r.postProven(c, exchangeForm(r.code(ask(c))), p.proof(r)); err != nil {
		t.Errorf("another user: %v", err)
	}
	check(t, push(from("198.51.100.1")))
}

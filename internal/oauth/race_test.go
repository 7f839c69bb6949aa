package oauth

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

const racers = 64

// eachTwo runs fn on both engines with two instances on connections of their own.
func eachTwo(t *testing.T, fn func(a, b *rig)) {
	t.Helper()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, e)
			a := newRig(t, storetest.Connect(t, url))
			db := storetest.Connect(t, url)
			fn(a, a.again(db, db))
		})
	}
}

// race runs fn at once in many goroutines, alternating between two instances, and returns the
// results.
func race[T any](a, b *rig, fn func(r *rig) (T, error)) (out []T, failed []error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		r := a
		if i%2 == 1 {
			r = b
		}
		wg.Go(func() {
			<-start
			v, err := fn(r)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = append(failed, err)
			} else {
				out = append(out, v)
			}
		})
	}
	close(start)
	wg.Wait()
	return out, failed
}

func onlyInvalidGrant(t *testing.T, failed []error) {
	t.Helper()
	for _, err := range failed {
		if AsError(err).Code != InvalidGrant {
			t.Fatalf("a loser got %v, want invalid_grant", err)
		}
	}
}

// TestRace_F4_OneCode is fosite trap 2: of many redemptions at once one succeeds, the rest
// are invalid_grant, and because the code was used twice its tokens die.
func TestRace_F4_OneCode(t *testing.T) {
	t.Parallel()
	eachTwo(t, func(a, b *rig) {
		for _, scope := range []string{"openid", "openid offline_access"} {
			for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
				c := a.newClient(client.Web, func(m *client.Metadata) { m.AccessTokenFormat = format })
				code := a.code(ask(c, "scope", scope))
				won, failed := race(a, b, func(r *rig) (*Tokens, error) { return r.exchange(c, code) })
				if len(won) != 1 {
					t.Fatalf("%s %s: %d redemptions of one code", scope, format, len(won))
				}
				onlyInvalidGrant(t, failed)
				if b.active(c, won[0].AccessToken) {
					t.Error("the tokens of a code that was used twice are alive")
				}
				if n := a.count(`SELECT COUNT(*) FROM refresh_token r JOIN oauth_grant g ON g.id = r.grant_id WHERE g.client_id = $1`, string(c)); n != 1 {
					t.Errorf("%d steps from one code", n)
				}
			}
		}
	})
}

// TestRace_SpentMark: uses of a code that yields no refresh token collide in both unique columns of
// the step. Each loser must learn that it lost, not meet a broken constraint: only then is the reuse
// seen as one. Postgres checks the two one after the other, so it takes many tries.
func TestRace_SpentMark(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.newClient(client.Web, nil)
		r.code(ask(c))
		var gid string
		check(t, r.db.Q(t.Context()).QueryRow(t.Context(), `SELECT id FROM oauth_grant WHERE client_id = $1`, string(c)).Scan(&gid))
		now := store.Micros(r.clock.Now())
		for range 40 {
			code := id.New()
			_, failed := race(r, r, func(r *rig) (string, error) {
				var hash string
				err := r.db.Q(t.Context()).QueryRow(t.Context(), sqlInsertStep, "spent:"+code, code, gid, "", now, now, "").Scan(&hash)
				return hash, err
			})
			for _, err := range failed {
				if !isNoRows(err) {
					r.t.Fatalf("a loser got %v", err)
				}
			}
		}
	})
}

// TestRace_RefreshWithGrace: one rotation, and everybody gets the same successor.
func TestRace_RefreshWithGrace(t *testing.T) {
	t.Parallel()
	eachTwo(t, func(a, b *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			c := a.newClient(client.Web, func(m *client.Metadata) { m.AccessTokenFormat = format })
			tok := a.tokens(c)
			won, failed := race(a, b, func(r *rig) (string, error) {
				got, err := r.refresh(c, tok.RefreshToken)
				if err != nil {
					return "", err
				}
				return got.RefreshToken, nil
			})
			if len(failed) > 0 {
				t.Fatalf("%d honest clients stranded: %v", len(failed), failed[0])
			}
			if slices.Sort(won); len(slices.Compact(won)) != 1 {
				t.Error("several successors of one token")
			}
			if n := a.count(`SELECT COUNT(*) FROM refresh_token r JOIN oauth_grant g ON g.id = r.grant_id WHERE g.client_id = $1`, string(c)); n != 2 {
				t.Errorf("%d tokens in the family, want the first and one successor", n)
			}
			_, err := b.refresh(c, won[0])
			wantCode(t, err, "")
		}
	})
}

// TestRace_RefreshWithoutGrace: one rotation, the rest are replays, which end the family.
func TestRace_RefreshWithoutGrace(t *testing.T) {
	t.Parallel()
	eachTwo(t, func(a, b *rig) {
		c := a.newClient(client.Web, func(m *client.Metadata) { m.RefreshGrace = 0 })
		tok := a.tokens(c)
		won, failed := race(a, b, func(r *rig) (*Tokens, error) { return r.refresh(c, tok.RefreshToken) })
		if len(won) != 1 {
			t.Fatalf("%d rotations of one token", len(won))
		}
		onlyInvalidGrant(t, failed)
		_, err := b.refresh(c, won[0].RefreshToken)
		wantCode(t, err, InvalidGrant)
	})
}

// TestRace_Assertion is security case TK-14 at once.
func TestRace_Assertion(t *testing.T) {
	t.Parallel()
	eachTwo(t, func(a, b *rig) {
		k := newClientKey(t)
		c := a.newClient(client.Machine, func(m *client.Metadata) { m.AuthMethod, m.JWKS = client.PrivateKeyJWT, k.jwks(t) })
		assertion := k.assertion(t, a.assertionClaims(c, nil), nil)
		won, failed := race(a, b, func(r *rig) (*Tokens, error) {
			return r.Token(t.Context(), post(http.Header{}, credentialsForm("client_assertion_type", assertionType, "client_assertion", assertion)))
		})
		if len(won) != 1 {
			t.Errorf("one assertion worked %d times", len(won))
		}
		for _, err := range failed {
			wantCode(t, err, InvalidClient)
		}
	})
}

// TestRace_RefreshAgainstRevocation: whatever the order, nothing is alive afterwards.
func TestRace_RefreshAgainstRevocation(t *testing.T) {
	t.Parallel()
	eachTwo(t, func(a, b *rig) {
		c := a.newClient(client.Web, nil)
		tok := a.tokens(c)
		won, failed := race(a, b, func(r *rig) (*Tokens, error) {
			if r == b {
				_, err := r.RevokeSession(t.Context(), r.session)
				return nil, err
			}
			return r.refresh(c, tok.RefreshToken)
		})
		onlyInvalidGrant(t, failed)
		for _, got := range won {
			if got == nil {
				continue
			}
			if a.active(c, got.AccessToken) {
				t.Fatal("an access token outlives its session's logout")
			}
			_, err := a.refresh(c, got.RefreshToken)
			wantCode(t, err, InvalidGrant)
		}
	})
}

// TestRace_IssueAgainstLogout: a code that was being written while its session ended is worth
// nothing. The two touch no row in common, so on Postgres neither waits for the other, and the
// logout cannot revoke a grant that it does not see yet (security case LO-03).
func TestRace_IssueAgainstLogout(t *testing.T) {
	t.Parallel()
	eachTwo(t, func(a, b *rig) {
		c := a.newClient(client.Web, nil)
		issued := make(chan string, 1)
		check(t, a.db.InTx(t.Context(), func(ctx context.Context) error {
			if _, err := a.db.Q(ctx).Exec(ctx, `DELETE FROM session WHERE id = $1`, string(a.session)); err != nil {
				return err
			}
			if _, err := a.RevokeSession(ctx, a.session); err != nil {
				return err
			}
			go func() {
				code, _ := b.tryCode(ask(c)) // login_required is as good
				issued <- code
			}()
			select {
			case code := <-issued:
				issued <- code
			case <-time.After(200 * time.Millisecond): // the other waits for this transaction: SQLite
			}
			return nil
		}))
		if code := <-issued; code != "" {
			_, err := a.exchange(c, code)
			wantCode(t, err, InvalidGrant)
		}
	})
}

// TestRoundTrips counts statements with warm caches; each is a round trip on Postgres. A single
// statement needs no begin and commit around it.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		web, third := r.newClient(client.Web, nil), r.newClient(client.Web, func(m *client.Metadata) { m.FirstParty = false })
		opaque := r.newClient(client.Web, func(m *client.Metadata) { m.AccessTokenFormat = client.FormatOpaque })
		machine := r.newClient(client.Machine, nil)
		code, online, opaqueCode := r.code(ask(web)), r.code(ask(web, "scope", "openid")), r.code(ask(opaque))
		tok, opaqueTok := r.tokens(web), r.tokens(opaque)
		req, err := r.ParseAuthorize(t.Context(), ask(web))
		check(t, err)
		req3, err := r.ParseAuthorize(t.Context(), ask(third))
		check(t, err)
		check(t, r.Approve(t.Context(), req3, r.user))
		h, cc := r.as(machine, credentialsForm())
		for name, tc := range map[string]struct {
			want int64
			act  func(d *rig) error
		}{
			"authorize": {1, func(d *rig) error { _, err := d.Issue(t.Context(), req, d.login()); return err }},
			"authorize third party": {2, func(d *rig) error {
				_, _, _ = d.MissingConsent(t.Context(), req3, d.user)
				_, err := d.Issue(t.Context(), req3, d.login())
				return err
			}},
			"client_credentials":    {0, func(d *rig) error { _, err := d.Token(t.Context(), post(h, cc)); return err }},
			"code":                  {2, func(d *rig) error { _, err := d.exchange(web, code); return err }},
			"code, no refresh":      {2, func(d *rig) error { _, err := d.exchange(web, online); return err }},
			"code, opaque":          {3, func(d *rig) error { _, err := d.exchange(opaque, opaqueCode); return err }},
			"refresh":               {2, func(d *rig) error { _, err := d.refresh(web, tok.RefreshToken); return err }},
			"refresh, opaque":       {3, func(d *rig) error { _, err := d.refresh(opaque, opaqueTok.RefreshToken); return err }},
			"introspection":         {1, func(d *rig) error { _, err := d.introspect(web, tok.AccessToken); return err }},
			"introspection, opaque": {1, func(d *rig) error { _, err := d.introspect(opaque, opaqueTok.AccessToken); return err }},
			"userinfo":              {2, func(d *rig) error { _, err := d.Userinfo(t.Context(), Call{}, "Bearer", tok.AccessToken); return err }},
		} {
			counted, n := storetest.FailAt(r.db, 0, storetest.Before)
			d := r.again(r.db, counted)
			for _, c := range []id.Client{web, third, opaque, machine} {
				must(d.clients.Get(t.Context(), c))
			}
			must(d.clients.APIs(t.Context()))
			if err := tc.act(d); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if n.Load() != tc.want {
				t.Errorf("%s: %d statements, want %d", name, n.Load(), tc.want)
			}
		}
	})
}

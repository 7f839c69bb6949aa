package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"signet/internal/identity/session"
	"signet/internal/oauth"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

func TestJourney_FrozenAtCreation(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		age := int64(7)
		req := r.request(r.app(false), func(q *oauth.Request) {
			q.MaxAge, q.Prompt, q.UILocales, q.ACRValues = &age, []string{"login", "consent"}, []string{"ko"}, []string{"x"}
			q.Resources, q.LoginHint, q.HintSubject, q.Display = []string{"https://api.test"}, `"><script>`, "u", "page"
		})
		j := r.begin(req)
		same := cmpopts.IgnoreUnexported(oauth.Request{})
		if diff := cmp.Diff(req, j.Request, same); diff != "" {
			t.Errorf("the request did not survive:\n%s", diff)
		}
		req.RedirectURI, req.Scopes[0] = "https://evil.test", "admin"
		if again := r.load(j.ID); again.Request.RedirectURI != callback || again.Request.Scopes[0] != "openid" {
			t.Error("a later change of the request reached the journey")
		}
	})
}

// RFC 9700 §4.7: a journey belongs to the browser that began it.
func TestJourney_OtherBrowserAndExpiry(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		j := r.begin(r.request(r.app(false), nil))
		for name, browser := range map[string]string{"other": id.NewToken(id.BrowserCookie), "none": "", "malformed": "sgn_brw_x"} {
			_, err := r.Load(ctx, j.ID, browser)
			if e := errs.As(err); e.Kind != errs.Forbidden || e.Key != KeyElsewhere {
				t.Errorf("%s browser: %v", name, err)
			}
		}
		if _, err := r.Begin(ctx, "forged", r.request("c", nil)); !errs.Is(err, errs.Forbidden) {
			t.Errorf("a journey without a browser: %v", err)
		}
		for _, unknown := range []id.Journey{"", "nothing", id.Journey(id.New())} {
			if _, err := r.Load(ctx, unknown, r.browser); !errs.Is(err, errs.NotFound) || errs.As(err).Key != KeyExpired {
				t.Errorf("unknown journey %q: %v", unknown, err)
			}
		}
		r.clock.Advance(Life - time.Microsecond)
		r.load(j.ID)
		r.clock.Advance(time.Microsecond)
		if _, err := r.Load(ctx, j.ID, r.browser); !errs.Is(err, errs.NotFound) || errs.As(err).Key != KeyExpired {
			t.Errorf("after its life: %v", err)
		}
		if _, err := r.Finish(ctx, j, r.signIn(r.user("late"))); !errs.Is(err, errs.Conflict) {
			t.Errorf("an expired journey moved: %v", err)
		}
		if n, err := r.DeleteExpired(ctx, 100); n != 1 || err != nil {
			t.Errorf("deleted %d (%v)", n, err)
		}
	})
}

func TestJourney_LoginConsentCode(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, alice := t.Context(), r.user("alice")
		j := r.begin(r.request(r.app(false), nil))
		r.owes(j, nil, Login)
		sess, cookie, err := r.prove(ctx, j, alice, nil)
		if err != nil || cookie == "" {
			t.Fatal(err)
		}
		j = r.load(j.ID) // a reload, or a restart of the server, finds the same
		if o := r.owes(j, &sess, Consent); len(o.Scopes) != 2 || o.Account.ID != alice {
			t.Errorf("owed %+v", o)
		}
		if err := r.Approve(ctx, j, &sess); err != nil {
			t.Fatal(err)
		}
		r.owes(r.load(j.ID), &sess, Done)
		resp, err := r.Finish(ctx, j, &sess)
		if err != nil || resp.Params.Get("code") == "" || resp.Params.Get("state") != "s&é" || resp.Params.Get("iss") != "https://id.test" {
			t.Fatalf("%+v %v", resp, err)
		}
		again := r.load(j.ID)
		if !again.Done() {
			t.Error("the journey is not done")
		}
		if _, err := r.Finish(ctx, again, &sess); !errs.Is(err, errs.Conflict) {
			t.Errorf("a second end: %v", err)
		}
		// Signed in and nothing owed: the next request needs no journey.
		resp, parked, err := r.Authorize(ctx, r.browser, r.request(j.Request.ClientID, nil), &sess)
		if err != nil || parked != "" || resp.Params.Get("code") == "" {
			t.Errorf("fast path: %+v %q %v", resp, parked, err)
		}
	})
}

func TestAuthorize_WithoutAPage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, alice := t.Context(), r.user("alice")
		ours, theirs := r.app(true), r.app(false)
		sess := r.signIn(alice)
		none := func(q *oauth.Request) { q.Prompt = []string{"none"} }
		ask := func(c id.Client, who *session.Session, change func(*oauth.Request)) string {
			resp, j, err := r.Authorize(ctx, r.browser, r.request(c, change), who)
			switch {
			case err != nil:
				return err.Error()
			case j != "":
				return "page"
			case resp.Params.Get("code") != "":
				return "code"
			}
			return resp.Params.Get("error")
		}
		check := func(name, got, want string) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
		check("first party", ask(ours, sess, nil), "code")
		check("first party, silent", ask(ours, sess, none), "code")
		check("nobody", ask(ours, nil, nil), "page")
		check("nobody, silent", ask(ours, nil, none), LoginRequired)
		check("consent", ask(theirs, sess, nil), "page")
		check("consent, silent", ask(theirs, sess, none), ConsentRequired)
		// acr_values is a wish and never fails (OIDC Core §3.1.2.1).
		check("acr_values", ask(ours, sess, func(q *oauth.Request) { q.ACRValues = []string{"urn:mfa"} }), "code")
		check("acr_values, silent", ask(ours, sess, func(q *oauth.Request) { none(q); q.ACRValues = []string{"urn:mfa"} }), "code")
		zero := int64(0)
		check("max_age=0", ask(ours, sess, func(q *oauth.Request) { q.MaxAge = &zero }), "page")
		check("other hint, silent", ask(ours, sess, func(q *oauth.Request) { none(q); q.HintSubject = "bob" }), LoginRequired)
		if err := r.people.Disable(ctx, alice); err != nil {
			t.Fatal(err)
		}
		check("disabled", ask(ours, sess, nil), "page")
		check("disabled, silent", ask(ours, sess, none), LoginRequired)
		j := r.begin(r.request(ours, nil))
		if o := r.owes(j, sess, Login); o.Account != nil || o.Again {
			t.Error("a disabled account is shown as signed in")
		}
		if err := r.people.Delete(ctx, alice); err != nil {
			t.Fatal(err)
		}
		r.owes(j, sess, Login)
	})
}

// prompt=login asks once, and only this journey counts the answer.
func TestJourney_PromptLoginIsSatisfiedHereOnly(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, alice := t.Context(), r.user("alice")
		old := r.signIn(alice)
		r.clock.Advance(time.Minute)
		asks := func(q *oauth.Request) { q.Prompt = []string{"login"} }
		j, other := r.begin(r.request(r.app(true), asks)), r.begin(r.request(r.app(true), asks))
		if o := r.owes(j, old, Login); !o.Again {
			t.Error("the page must say why it asks again")
		}
		sess, cookie, err := r.prove(ctx, j, alice, old)
		if err != nil {
			t.Fatal(err)
		}
		if sess.ID != old.ID || !sess.AuthTime().Equal(r.clock.Now()) {
			t.Errorf("same person: session %s (was %s), auth time %s", sess.ID, old.ID, sess.AuthTime())
		}
		if found, err := r.sessions.Lookup(ctx, cookie); err != nil || found == nil || found.ID != sess.ID {
			t.Errorf("the new cookie finds %v (%v)", found, err)
		}
		r.owes(r.load(j.ID), &sess, Done)
		r.owes(r.load(other.ID), &sess, Login)
	})
}

// A session id never passes from one person to another, and neither do a journey's steps.
func TestJourney_AnotherPersonStartsAfresh(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, alice, bob := t.Context(), r.user("alice"), r.user("bob")
		first := r.signIn(alice)
		j := r.begin(r.request(r.app(false), func(q *oauth.Request) { q.Prompt = []string{"select_account", "consent"} }))
		r.owes(j, first, Select)
		if err := r.Choose(ctx, j, first); err != nil {
			t.Fatal(err)
		}
		if err := r.Approve(ctx, j, first); err != nil {
			t.Fatal(err)
		}
		r.owes(j, first, Done)
		second, _, err := r.prove(ctx, j, bob, first)
		if err != nil {
			t.Fatal(err)
		}
		if second.ID == first.ID {
			t.Error("bob got alice's session id")
		}
		if ok, _ := r.sessions.Active(ctx, first.ID); ok {
			t.Error("alice's session has no browser any more and still lives")
		}
		// Alice said yes, bob did not.
		r.owes(r.load(j.ID), &second, Consent)
		// In a second tab alice signs in again: nothing of this journey is hers.
		third := r.signIn(alice)
		r.owes(r.load(j.ID), third, Select)
	})
}

func TestJourney_HintedAccountOnly(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, alice, bob := t.Context(), r.user("alice"), r.user("bob")
		j := r.begin(r.request(r.app(true), func(q *oauth.Request) { q.HintSubject = string(bob) }))
		sess := r.signIn(alice)
		if o := r.owes(j, sess, Login); !o.Other || o.Again {
			t.Errorf("%+v", o)
		}
		again, _, err := r.prove(ctx, j, alice, sess)
		if err != nil {
			t.Fatal(err)
		}
		o := r.owes(j, &again, Refuse)
		resp, err := r.Refuse(ctx, j, o.Code)
		if err != nil || resp.Params.Get("error") != LoginRequired || resp.Params.Get("code") != "" {
			t.Errorf("%+v %v", resp, err)
		}
	})
}

// A pairwise client asks for people by the sub that it knows. Asked by anybody else's name for them, the
// answer is the same as for somebody else: else two applications that compare notes could find out whom
// they share (OIDC Core §8.1).
func TestJourney_HintOfAnotherSector(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		alice := r.user("alice")
		sess, c := r.signIn(alice), r.app(true)
		for _, public := range []bool{true, false} {
			req := r.request(c, func(q *oauth.Request) {
				q.HintSubject, q.Prompt = string(alice), []string{"none"}
				if !public {
					q.HintSector = "rp.test"
				}
			})
			resp, _, err := r.Authorize(t.Context(), r.browser, req, sess)
			if err != nil || (resp.Params.Get("code") != "") != public || !public && resp.Params.Get("error") != LoginRequired {
				t.Errorf("public %v: %v, %v", public, resp, err)
			}
		}
	})
}

func TestJourney_LocalAndLeave(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, alice := t.Context(), r.user("alice")
		age := int64(600)
		jid, err := r.BeginLocal(ctx, r.browser, Local{Target: "/account/username", MaxAge: &age})
		if err != nil {
			t.Fatal(err)
		}
		sess := r.signIn(alice)
		r.owes(r.load(jid), sess, Done)
		r.clock.Advance(11 * time.Minute)
		j := r.load(jid)
		if o := r.owes(j, sess, Login); !o.Again {
			t.Error("a stale sign-in is not asked for again")
		}
		renewed, _, err := r.prove(ctx, j, alice, sess)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := r.Finish(ctx, j, &renewed)
		if err != nil || resp != nil || j.Local.Target != "/account/username" {
			t.Errorf("%v %v", resp, err)
		}
		jid, err = r.BeginLocal(ctx, r.browser, Local{Target: "/account", Create: true})
		if err != nil {
			t.Fatal(err)
		}
		r.owes(r.load(jid), nil, SignUp)
		leave, err := r.BeginLeave(ctx, r.browser, Leave{Client: "c", Location: "https://rp.test/bye?state=1", Locales: []string{"ko"}})
		if err != nil {
			t.Fatal(err)
		}
		if l := r.load(leave); l.Leave == nil || l.Leave.Location != "https://rp.test/bye?state=1" || l.Request != nil {
			t.Errorf("%+v", l)
		}
	})
}

// Of 20 posts at once, through two instances, one signs in, one approves and one gets the code.
func TestJourney_OneWinnerPerStep(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, alice := t.Context(), r.user("alice")
		j := r.begin(r.request(r.app(false), nil))
		var mu sync.Mutex
		var sess *session.Session
		race(t, func() error {
			s, _, err := r.prove(ctx, r.copyOf(j), alice, nil)
			if err == nil {
				mu.Lock()
				sess = &s
				mu.Unlock()
			}
			return err
		})
		if list, err := r.sessions.List(ctx, alice); err != nil || len(list) != 1 {
			t.Fatalf("%d sessions for one login (%v)", len(list), err)
		}
		loaded := r.load(j.ID)
		race(t, func() error { return r.Approve(ctx, r.copyOf(loaded), sess) })
		loaded = r.load(j.ID)
		race(t, func() error { _, err := r.Finish(ctx, r.copyOf(loaded), sess); return err })
		if n := r.count(`SELECT count(*) FROM oauth_grant`); n != 1 {
			t.Errorf("%d grants", n)
		}
	})
}

// copyOf is what another request that read the same version holds.
func (r *rig) copyOf(j *Journey) *Journey {
	c := *j
	if j.Request != nil {
		b, _ := json.Marshal(j.Request)
		c.Request = new(oauth.Request)
		_ = json.Unmarshal(b, c.Request)
	}
	return &c
}

func (r *rig) count(sql string) (n int64) {
	r.t.Helper()
	if err := r.db.Q(r.t.Context()).QueryRow(r.t.Context(), sql).Scan(&n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

func race(t *testing.T, do func() error) {
	t.Helper()
	const posts = 20
	var won, lost atomic.Int64
	var wg sync.WaitGroup
	for range posts {
		wg.Go(func() {
			switch err := do(); {
			case err == nil:
				won.Add(1)
			case errs.Is(err, errs.Conflict):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || lost.Load() != posts-1 {
		t.Errorf("%d won, %d lost", won.Load(), lost.Load())
	}
}

func TestEndSession_TakesItsGrants(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, alice, app := t.Context(), r.user("alice"), r.app(true)
		here, there, third := r.signIn(alice), r.signIn(alice), r.signIn(alice)
		for _, s := range []*session.Session{here, there, third} {
			if _, _, err := r.Authorize(ctx, r.browser, r.request(app, nil), s); err != nil {
				t.Fatal(err)
			}
		}
		live := `SELECT count(*) FROM oauth_grant WHERE revoked_at = 0`
		if _, err := r.EndSession(ctx, there.ID); err != nil || r.count(live) != 2 {
			t.Errorf("%v, %d grants live", err, r.count(live))
		}
		if err := r.EndOthers(ctx, alice, here.ID); err != nil || r.count(live) != 1 {
			t.Errorf("%v, %d grants live", err, r.count(live))
		}
		for s, want := range map[id.Session]bool{here.ID: true, there.ID: false, third.ID: false} {
			if ok, err := r.sessions.Active(ctx, s); ok != want || err != nil {
				t.Errorf("session active %v (%v), want %v", ok, err, want)
			}
		}
		if _, err := r.EndSession(ctx, there.ID); err != nil {
			t.Errorf("ending twice: %v", err)
		}
		// Nothing is issued after the sign-out committed.
		if resp, j, err := r.Authorize(ctx, r.browser, r.request(app, nil), there); err != nil || j == "" || resp != nil {
			t.Errorf("a code after the sign-out: %v %v", resp, err)
		}
	})
}

// Whichever statement fails, and however, there is no half state: the step happened as a whole
// or not at all, and the journey can go on.
func TestJourney_FaultsLeaveNoHalfState(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		good := newRig(t, db, db)
		app, alice := good.app(false), good.user("alice")
		steps := map[string]func(r *rig) error{
			"login": func(r *rig) error {
				j := good.begin(good.request(app, nil))
				_, _, err := r.prove(context.Background(), j, alice, nil)
				if done := good.load(j.ID).state.Proved; done && good.count(`SELECT count(*) FROM session`) == 0 {
					t.Error("signed in without a session")
				}
				return err
			},
			"approve": func(r *rig) error {
				j, sess := good.begin(good.request(app, nil)), good.signIn(alice)
				err := r.Approve(context.Background(), j, sess)
				c, ferr := good.consents.Find(context.Background(), alice, app)
				if ferr != nil || good.load(j.ID).state.Approved && c.CreatedAt.IsZero() {
					t.Errorf("approved without a consent (%v)", ferr)
				}
				return err
			},
			"finish": func(r *rig) error {
				j, sess := good.begin(good.request(app, nil)), good.signIn(alice)
				if err := good.engine.Approve(context.Background(), j.Request, alice); err != nil {
					t.Fatal(err)
				}
				before := good.count(`SELECT count(*) FROM oauth_grant`)
				_, err := r.Finish(context.Background(), j, sess)
				grants := good.count(`SELECT count(*) FROM oauth_grant`) - before
				if done := good.load(j.ID).Done(); done != (grants == 1) {
					t.Errorf("done %v with %d grants", done, grants)
				}
				return err
			},
			"end": func(r *rig) error {
				sess := good.signIn(alice)
				req := good.request(app, nil)
				if err := good.engine.Approve(context.Background(), req, alice); err != nil {
					t.Fatal(err)
				}
				if _, _, err := good.Authorize(context.Background(), good.browser, req, sess); err != nil {
					t.Fatal(err)
				}
				_, err := r.EndSession(context.Background(), sess.ID)
				alive, _ := good.sessions.Active(context.Background(), sess.ID)
				if live := good.count(`SELECT count(*) FROM oauth_grant WHERE revoked_at = 0 AND session_id = '` + string(sess.ID) + `'`); alive != (live == 1) {
					t.Errorf("session alive %v with %d grants", alive, live)
				}
				return err
			},
		}
		for name, step := range steps {
			for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
				for n := int64(1); ; n++ {
					faulty, seen := storetest.FailAt(db, n, mode)
					err := step(newRig(t, db, faulty))
					if seen.Load() < n {
						if err != nil {
							t.Errorf("%s without a fault: %v", name, err)
						}
						break
					}
					if err == nil || !errors.Is(err, storetest.ErrInjected) && !strings.Contains(err.Error(), "injected") {
						t.Errorf("%s, statement %d: %v", name, n, err)
					}
					if n > 40 {
						t.Fatalf("%s: too many statements", name)
					}
				}
			}
		}
	})
}

// Anybody may open a sign-in page as often as they like, and each parks a row for half an hour: one
// network cannot fill the table. What was finished does not count, and other networks notice nothing.
func TestBegin_OpenJourneysPerNetworkAreBounded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		r.maxOpen = 3
		from := func(ip string) context.Context { return audit.WithSource(t.Context(), audit.Source{IP: ip}) }
		begin := func(ip string) (id.Journey, error) {
			return r.BeginLocal(from(ip), id.NewToken(id.BrowserCookie), Local{Target: "/account"})
		}
		first, err := r.BeginLocal(from("2001:db8::1"), r.browser, Local{Target: "/account"})
		for i := 2; i <= 3 && err == nil; i++ {
			_, err = begin(fmt.Sprintf("2001:db8::%d", i))
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = begin("2001:db8::4")
		if !errs.Is(err, errs.Limited) || errs.As(err).RetryAfter <= 0 {
			t.Fatalf("a fourth from the same network: %v", err)
		}
		if _, err := begin("2001:db8:0:1::4"); err != nil {
			t.Errorf("another network: %v", err)
		}
		if _, err := r.Finish(t.Context(), r.load(first), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := begin("2001:db8::4"); err != nil {
			t.Errorf("after one was finished: %v", err)
		}
		r.clock.Advance(Life)
		if _, err := begin("2001:db8::4"); err != nil {
			t.Errorf("after all have expired: %v", err)
		}
	})
}

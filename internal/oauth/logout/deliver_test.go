package logout

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/outbox"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// rig is a Service with an application that answers as the test says.
type rig struct {
	*Service
	t       *testing.T
	db      *store.DB
	clock   *clock.Fake
	clients *client.Service
	outbox  *outbox.Service
	server  *httptest.Server

	mu     sync.Mutex
	status int
	got    []string // logout tokens
}

func newRig(t *testing.T, db *store.DB, guard fetch.Options) *rig {
	t.Helper()
	r := &rig{t: t, db: db, clock: clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), status: http.StatusOK}
	sealer, err := seal.New(slices.Repeat([]byte{7}, 32))
	check(t, err)
	log, err := audit.New(audit.Deps{DB: db, Clock: r.clock})
	check(t, err)
	r.clients, err = client.New(client.Deps{DB: db, Clock: r.clock, Changes: store.NewChanges(db, time.Hour), Audit: log, Fetch: fetch.New(open), Documents: &client.Documents{}})
	check(t, err)
	r.outbox, err = outbox.New(outbox.Deps{DB: db, Clock: r.clock, Seal: sealer, Audit: log, Log: slog.New(slog.DiscardHandler)})
	check(t, err)
	r.Service, err = New(Deps{DB: db, Clock: r.clock, Clients: r.clients, Outbox: r.outbox, Kept: time.Hour, Fetch: fetch.New(guard)})
	check(t, err)
	r.Tokens(func(_ context.Context, c *client.Client, n Notice, jti string) (string, error) {
		return strings.Join([]string{string(c.ID), string(n.Session), n.Subject, jti}, " "), nil
	})
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, req.PostFormValue("logout_token"))
		if r.status == 0 { // the line breaks after the request
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.server.Close)
	return r
}

var open = fetch.Options{AllowPrivate: true, AllowHTTP: true}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) app(uri string) id.Client {
	r.t.Helper()
	m := client.Defaults(client.Web)
	m.RedirectURIs, m.BackchannelLogoutURI = []string{"https://rp.test/cb"}, uri
	c, _, err := r.clients.Create(r.t.Context(), client.NewClient{Name: "App", Kind: client.Web, Metadata: m})
	check(r.t, err)
	return c.ID
}

// leave signs somebody in to the application and out again.
func (r *rig) leave(c id.Client) {
	r.t.Helper()
	sid := id.Session(id.New())
	check(r.t, r.db.InTx(r.t.Context(), func(ctx context.Context) error {
		if err := r.Join(ctx, Party{Session: sid, Client: c, User: "user", Subject: "sub"}); err != nil {
			return err
		}
		_, err := r.EndSession(ctx, sid)
		return err
	}))
}

func (r *rig) deliver() outbox.Item {
	r.t.Helper()
	_, err := r.outbox.Deliver(r.t.Context())
	check(r.t, err)
	list, err := r.outbox.List(r.t.Context(), outbox.Filter{Kind: Kind, Limit: 1})
	check(r.t, err)
	return list[0]
}

func (r *rig) answers(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// TestDeliver_UntilItIsTaken: everything but a success is tried again, for days, each time with
// another token; once taken, never again (OIDC Back-Channel Logout §2.8).
func TestDeliver_UntilItIsTaken(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, taken := range []int{200, 204} {
			r := newRig(t, db, open)
			c := r.app(r.server.URL)
			r.leave(c)
			for n, status := range []int{400, 500, 302, 404, 429, 503} {
				r.answers(status)
				item := r.deliver()
				if item.State != outbox.Pending || item.Attempts != n+1 || !strings.Contains(item.LastError, "answered") || len(r.got) != n+1 {
					t.Fatalf("%d: %+v, %d requests", status, item, len(r.got))
				}
				r.clock.Advance(16 * time.Minute)
				r.gates.all = nil // in monotonic time nothing has passed
			}
			r.answers(taken)
			if item := r.deliver(); item.State != outbox.Done || item.LastError != "" {
				t.Errorf("%+v", item)
			}
			last := len(r.got)
			r.clock.Advance(24 * time.Hour)
			if r.deliver(); len(r.got) != last {
				t.Error("told again after it was taken")
			}
			distinct := map[string]bool{}
			for _, text := range r.got {
				distinct[text] = true
			}
			if len(distinct) != last {
				t.Errorf("%d tokens for %d attempts: a receiver that remembers jti refuses them", len(distinct), last)
			}
		}
	})
}

// Security case LO-07: a notice whose first delivery nobody knows the end of is repeated with its jti, which
// its receiver may have taken note of (OIDC Back-Channel Logout §2.6, step 8). A refusal makes another one:
// the receiver may have noted the jti before it failed, and must not refuse the sign-out for ever.
func TestDeliver_RepetitionKeepsItsID(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, open)
		r.leave(r.app(r.server.URL))
		for _, status := range []int{0, 0, 503, 0, 400, 0, 200} {
			r.answers(status)
			r.deliver()
			r.clock.Advance(16 * time.Minute)
			r.gates.all = nil
		}
		var ids []string
		for _, text := range r.got {
			ids = append(ids, text[strings.LastIndexByte(text, ' ')+1:])
		}
		if len(ids) != 7 || len(slices.Compact(slices.Clone(ids))) != 3 || ids[0] != ids[2] || ids[3] != ids[4] || ids[5] != ids[6] {
			t.Errorf("%q", ids)
		}
		notice, _, _ := strings.Cut(ids[0], ".")
		for _, jti := range ids {
			if !strings.HasPrefix(jti, notice+".") {
				t.Errorf("%s is not of the notice %s", jti, notice)
			}
		}
	})
}

// TestDeliver_GivesUp after days, and at once where nobody can be told any more.
func TestDeliver_GivesUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t, store.SQLite), open)
	r.answers(500)
	c := r.app(r.server.URL)
	r.leave(c)
	r.clock.Advance(Life - time.Minute)
	if item := r.deliver(); item.State != outbox.Pending {
		t.Errorf("%+v", item)
	}
	r.clock.Advance(2 * time.Minute)
	if item := r.deliver(); item.State != outbox.Dead || !strings.Contains(item.LastError, "expired") {
		t.Errorf("%+v", item)
	}
	asked := len(r.got)
	r.leave(c)
	_, err := r.clients.Update(t.Context(), c, func(d *client.Draft) error { d.Metadata.BackchannelLogoutURI = ""; return nil })
	check(t, err)
	if item := r.deliver(); item.State != outbox.Dead || !strings.Contains(item.LastError, "no backchannel_logout_uri") {
		t.Errorf("%+v", item)
	}
	gone := r.app(r.server.URL)
	r.leave(gone)
	check(t, r.clients.Delete(t.Context(), gone))
	if item := r.deliver(); item.State != outbox.Dead || !strings.Contains(item.LastError, "not registered") || len(r.got) != asked {
		t.Errorf("%+v, %d requests", item, len(r.got)-asked)
	}
}

// TestDeliver_Document: an application that is a document is told as it was last recorded. Its owner is
// not asked, least of all while a transaction waits, and may be away for longer than a copy serves.
func TestDeliver_Document(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t, store.SQLite), open)
	var asked atomic.Int64
	owner := httptest.NewServer(nil)
	defer owner.Close()
	c := id.Client(owner.URL + "/client.json")
	owner.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) > 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"client_id":"`+string(c)+`","redirect_uris":["https://rp.test/cb"],"backchannel_logout_uri":"`+r.server.URL+`"}`)
	})
	_, err := r.clients.Get(t.Context(), c)
	check(t, err)
	check(t, r.clients.Adopt(t.Context(), c))
	r.clock.Advance(3 * 24 * time.Hour)
	r.leave(c)
	if item := r.deliver(); item.State != outbox.Done || item.Recipient != string(c) || len(r.got) != 1 || asked.Load() != 1 {
		t.Errorf("%+v, told %d times, its owner asked %d times", item, len(r.got), asked.Load())
	}
}

// TestDeliver_Guarded: nothing is posted into our network, and the notice is not lost either (security
// cases SS-01, LO-05).
func TestDeliver_Guarded(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t, store.SQLite), fetch.Options{AllowHTTP: true})
	r.leave(r.app(r.server.URL))
	if item := r.deliver(); item.State != outbox.Pending || item.LastError == "" || len(r.got) != 0 {
		t.Errorf("%+v, %d requests", item, len(r.got))
	}
}

// TestGates: an application that does not answer is left alone, one that is busy gets no more than it
// can take, and neither holds up another.
func TestGates(t *testing.T) {
	t.Parallel()
	var g gates
	now := time.Now()
	enter := func(c id.Client) func(bool) {
		t.Helper()
		leave, err := g.try(c, now)
		check(t, err)
		return leave
	}
	var inside []func(bool)
	for range perClient {
		inside = append(inside, enter("slow"))
	}
	if _, err := g.try("slow", now); !errors.Is(err, errFull) {
		t.Errorf("one too many: %v", err)
	}
	enter("other")(false)
	for _, leave := range inside { // all of them fail at about the same time
		leave(true)
	}
	if n := g.all["slow"].failures; n != 1 {
		t.Errorf("%d failures counted for one", n)
	}
	if _, err := g.try("slow", now); !errors.Is(err, errClosed) {
		t.Errorf("after a failure: %v", err)
	}
	enter("other")(false)

	now = time.Now().Add(firstClosed + time.Second)
	probe := enter("slow")
	if _, err := g.try("slow", now); !errors.Is(err, errClosed) {
		t.Errorf("more than one looks: %v", err)
	}
	g.mu.Lock()
	g.all["slow"].until = time.Time{}
	g.mu.Unlock()
	probe(true)
	if closed := g.all["slow"].until.Sub(time.Now()); closed < firstClosed || closed > 2*firstClosed {
		t.Errorf("closed for %v after the second failure", closed)
	}
	for range 20 {
		g.leave("slow", func() *gate { g.all["slow"].running++; g.all["slow"].until = time.Time{}; return g.all["slow"] }(), true, now)
	}
	if closed := g.all["slow"].until.Sub(now); closed != longClosed {
		t.Errorf("closed for %v at most", closed)
	}
	now = now.Add(longClosed + time.Second)
	enter("slow")(false)
	if len(g.all) != 0 {
		t.Errorf("gates that nobody needs: %v", g.all)
	}
	for range perClient {
		enter("slow")
	}
}

// TestGates_Wait: a place that gets free is taken, and nobody waits longer than the request.
func TestGates_Wait(t *testing.T) {
	t.Parallel()
	var g gates
	var leave func(bool)
	for range perClient {
		var err error
		leave, err = g.enter(t.Context(), "c")
		check(t, err)
	}
	time.AfterFunc(3*turn, func() { leave(false) })
	if _, err := g.enter(t.Context(), "c"); err != nil {
		t.Errorf("no place: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*turn)
	defer cancel()
	if _, err := g.enter(ctx, "c"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waited on: %v", err)
	}
}

// TestJoin_Once: the first sign-in of a session to an application is enough; outside of a transaction
// there is no promise.
func TestJoin_Once(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, open)
		c := r.app("https://rp.test/out")
		p := Party{Session: "s", Client: c, User: "u", Subject: "x"}
		var parties []Party
		check(t, db.InTx(t.Context(), func(ctx context.Context) (err error) {
			for range 2 {
				check(t, r.Join(ctx, p))
			}
			parties, err = r.EndSession(ctx, "s")
			return err
		}))
		if len(parties) != 1 || parties[0] != p {
			t.Errorf("%+v", parties)
		}
		defer func() {
			if recover() == nil {
				t.Error("a promise outside of a transaction")
			}
		}()
		_ = r.Join(t.Context(), p)
	})
}

package oauth

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// Find knows people by their user name, and takes no look at whether they are active.
func (p *people) Find(ctx context.Context, hint string) (user id.User, err error) {
	err = p.db.Q(ctx).QueryRow(ctx, `SELECT id FROM account WHERE username_key = $1`, hint).Scan((*string)(&user))
	if errors.Is(err, store.ErrNoRows) {
		err = errs.New(errs.NotFound, "", nil)
	}
	return user, err
}

// Tell keeps what somebody is written.
func (p *people) Tell(ctx context.Context, _ id.User, a Asking) error {
	store.MustTx(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, a)
	return nil
}

func (p *people) letters() []Asking {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told
}

const testToken = "8d67dc78-7faa-4d41-aabd-67707b374255" // of a notification, CIBA §7.1

// bank registers a client that may ask people.
func (r *rig) bank(edit func(*client.Metadata)) id.Client {
	r.t.Helper()
	return r.newClient(client.Web, func(m *client.Metadata) {
		m.GrantTypes = append(m.GrantTypes, client.GrantCIBA)
		m.FirstParty = false
		if edit != nil {
			edit(m)
		}
	})
}

// named gives somebody a user name to be hinted by.
func (r *rig) named(user id.User) string {
	r.t.Helper()
	name := "u" + string(user)
	r.exec(`UPDATE account SET username_key = $2 WHERE id = $1`, string(user), name)
	return name
}

// tryAsk sends a backchannel authentication request; pairs replace or (with "") remove parameters of a sound
// one about the rig's user.
func (r *rig) tryAsk(c id.Client, pairs ...string) (*AuthRequest, error) {
	h, form := r.as(c, values("scope", "openid offline_access read", "login_hint", r.named(r.user)))
	for i := 0; i < len(pairs); i += 2 {
		if form.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			form.Del(pairs[i])
		}
	}
	return r.Backchannel(context.Background(), post(h, form))
}

func (r *rig) askSomebody(c id.Client, pairs ...string) *AuthRequest {
	r.t.Helper()
	a, err := r.tryAsk(c, pairs...)
	check(r.t, err)
	return a
}

func (r *rig) pollAsked(c id.Client, req string, pairs ...string) (*Tokens, error) {
	return r.post(c, values(append([]string{"grant_type", client.GrantCIBA, "auth_req_id", req}, pairs...)...))
}

// answerAsked decides the newest request that waits for somebody.
func (r *rig) answerAsked(user id.User, allow bool) error {
	list, err := r.AskedOf(context.Background(), user)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errs.New(errs.NotFound, KeyNotAsked, nil)
	}
	return r.DecideAsked(context.Background(), list[len(list)-1], r.loginOf(user), allow)
}

// signedAsk is a sound signed request about the rig's user; edit changes its claims.
func (r *rig) signedAsk(c id.Client, edit func(map[string]any)) map[string]any {
	m := r.objectClaims(c, nil)
	maps.DeleteFunc(m, func(name string, _ any) bool {
		return name != "iss" && name != "aud" && name != "nbf" && name != "iat" && name != "exp" && name != "jti"
	})
	m["scope"], m["login_hint"], m["binding_message"] = "openid read", r.named(r.user), "W4SCT"
	if edit != nil {
		edit(m)
	}
	return m
}

// bell is the notification endpoint of an application, which answers as the test says.
type bell struct {
	*httptest.Server

	mu     sync.Mutex
	status int
	rung   []pinged
}

type pinged struct{ method, auth, contentType, body string }

func newBell(t testing.TB, status int) *bell {
	b := &bell{status: status}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.rung = append(b.rung, pinged{req.Method, req.Header.Get("Authorization"), req.Header.Get("Content-Type"), string(body)})
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(b.status)
		_, _ = io.WriteString(w, "a body that nobody reads")
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *bell) answers(status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = status
}

func (b *bell) heard() []pinged {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rung
}

// pinging makes a client one that is told at the bell.
func (b *bell) pinging(m *client.Metadata) {
	m.CIBADelivery, m.CIBANotification = client.DeliverPing, b.URL
}

// form of a request that a test sends as it likes.
func askForm(r *rig, pairs ...string) url.Values {
	return values(append([]string{"scope", "openid", "login_hint", r.named(r.user)}, pairs...)...)
}

package signin

import (
	"net/http"
	"net/url"
	"testing"

	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/platform/id"
)

// pushed is a request that the application sent itself (RFC 9126).
func (r *rig) pushed(c id.Client, secret string) url.Values {
	r.t.Helper()
	h := http.Header{}
	req := http.Request{Header: h}
	req.SetBasicAuth(string(c), secret)
	p, err := r.engine.(*oauth.Engine).Push(r.t.Context(), oauth.Call{Method: http.MethodPost, Header: h, Form: url.Values{
		"redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"st"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	return url.Values{"client_id": {string(c)}, "request_uri": {p.RequestURI}}
}

// TestPushed_OneAnswer: of two sign-ins that began with the same pushed request one ends with a code, the
// other one with an error for the application; a refusal counts as the answer (RFC 9126 §7.3, FAPI 2.0 Security
// Profile §5.3.2.2 note 3).
func TestPushed_OneAnswer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		meta := client.Defaults(client.Web)
		meta.RedirectURIs, meta.FirstParty = []string{callback}, true
		app, secret, err := r.clients.Create(ctx, client.NewClient{Name: "Shop", Kind: client.Web, Metadata: meta})
		if err != nil {
			t.Fatal(err)
		}
		user := r.user("kim")
		sess := r.signIn(user)
		parse := func(form url.Values) *oauth.Request {
			req, err := r.engine.(*oauth.Engine).ParseAuthorize(ctx, form)
			if err != nil {
				t.Fatal(err)
			}
			return req
		}
		form := r.pushed(app.ID, secret.Reveal())
		first, second := r.begin(parse(form)), r.begin(parse(form))
		resp, err := r.Finish(ctx, first, sess)
		if err != nil || resp.Params.Get("code") == "" {
			t.Fatalf("%v, %v", resp, err)
		}
		resp, err = r.Finish(ctx, second, sess)
		if err != nil || resp.Params.Get("error") != oauth.InvalidRequestURI || resp.Params.Has("code") || resp.Params.Get("state") != "st" {
			t.Errorf("the second sign-in: %v, %v", resp, err)
		}
		if !r.load(second.ID).Done() {
			t.Error("the second journey is still open")
		}

		form = r.pushed(app.ID, secret.Reveal())
		denied, late := r.begin(parse(form)), parse(form)
		if resp, err = r.Refuse(ctx, denied, AccessDenied); err != nil || resp.Params.Get("error") != AccessDenied {
			t.Fatalf("%v, %v", resp, err)
		}
		if _, err := r.engine.(*oauth.Engine).ParseAuthorize(ctx, form); err == nil {
			t.Error("a refused request opens again")
		}
		if resp, _, err = r.Authorize(ctx, r.browser, late, sess); err != nil || resp == nil || resp.Params.Get("error") != oauth.InvalidRequestURI {
			t.Errorf("signed in already: %v, %v", resp, err)
		}
	})
}

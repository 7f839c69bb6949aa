package load

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// Tokens is the part of a token response that flows use.
type Tokens struct {
	AccessToken  string `json:"access_token"`
	IDToken      string `json:"id_token"`
	RefreshToken string `json:"refresh_token"`
}

// Signatures says how many of the tokens are JWTs, which is how many signatures the answer
// cost the provider.
func (t Tokens) Signatures() int {
	n := 0
	for _, s := range []string{t.AccessToken, t.IDToken} {
		if strings.HasPrefix(s, "eyJ") && strings.Count(s, ".") == 2 {
			n++
		}
	}
	return n
}

// post sends a form to an endpoint with the client's authentication (RFC 6749 §2.3.1) and
// decodes the answer into out.
func (t *Target) post(ctx context.Context, endpoint string, form url.Values, out any) error {
	method := t.AuthMethod
	if method == "" && t.ClientSecret != "" {
		method = "basic"
	}
	switch method {
	case "basic":
	case "post":
		form.Set("client_id", t.ClientID)
		form.Set("client_secret", t.ClientSecret)
	default:
		form.Set("client_id", t.ClientID)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if method == "basic" {
		req.SetBasicAuth(url.QueryEscape(t.ClientID), url.QueryEscape(t.ClientSecret))
	}
	status, body, err := t.do(req)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return statusFailure(status, body)
	}
	t.observe(endpoint, body)
	if err := json.Unmarshal(body, out); err != nil {
		return failure("bad answer", "token response: %w", err)
	}
	return nil
}

func (t *Target) tokens(ctx context.Context, endpoint string, form url.Values) (Tokens, error) {
	var out Tokens
	if err := t.post(ctx, endpoint, form, &out); err != nil {
		return out, err
	}
	if out.AccessToken == "" {
		return out, failure("bad answer", "token response without access_token")
	}
	return out, nil
}

func (t *Target) clientCredentials(ctx context.Context, endpoint string) (Tokens, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if t.Scope != "" {
		form.Set("scope", t.Scope)
	}
	for k, v := range t.Extra {
		form[k] = v
	}
	return t.tokens(ctx, endpoint, form)
}

func (t *Target) exchange(ctx context.Context, endpoint string, g codeGrant) (Tokens, error) {
	return t.tokens(ctx, endpoint, url.Values{
		"grant_type": {"authorization_code"}, "code": {g.code},
		"redirect_uri": {t.RedirectURI}, "code_verifier": {g.verifier},
	})
}

func (t *Target) refresh(ctx context.Context, endpoint, token string) (Tokens, error) {
	return t.tokens(ctx, endpoint, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

func (t *Target) introspect(ctx context.Context, endpoint, token string) error {
	var out struct {
		Active bool `json:"active"`
	}
	if err := t.post(ctx, endpoint, url.Values{"token": {token}}, &out); err != nil {
		return err
	}
	if !out.Active {
		return failure("inactive", "a live token was reported as not active")
	}
	return nil
}

package federation

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
)

// tokens is what a token endpoint answers (RFC 6749 §5.1, §5.2).
type tokens struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	IDToken string `json:"id_token"`
	Error   string `json:"error"`
}

// maxAccess bounds an access token, in bytes: it goes into a header.
const maxAccess = 16 << 10

// exchange redeems a code (RFC 6749 §4.1.3, RFC 7636 §4.5).
func (s *Service) exchange(ctx context.Context, p *provider, m metadata, wait pending, code string) (tokens, error) {
	method, err := m.tokenAuth(p.ClientSecret != "")
	if err != nil {
		return tokens{}, err
	}
	if p.Kind == GitHub {
		method = "client_secret_post"
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {s.callbackURL(p)}, "code_verifier": {wait.Verifier},
	}
	header := http.Header{}
	switch method {
	case "client_secret_basic":
		req := http.Request{Header: header}
		// RFC 6749 §2.3.1: both are form-encoded before.
		req.SetBasicAuth(url.QueryEscape(p.ClientID), url.QueryEscape(p.ClientSecret.Reveal()))
	case "client_secret_post":
		form.Set("client_id", p.ClientID)
		form.Set("client_secret", p.ClientSecret.Reveal())
	default:
		form.Set("client_id", p.ClientID)
	}
	res, err := s.d.Fetch.Call(ctx, m.TokenEndpoint, fetch.Request{Form: form, Header: header})
	if err != nil {
		return tokens{}, errs.New(errs.Unavailable, KeyUnreachable, err)
	}
	var t tokens
	if json.Unmarshal(res.Body, &t) != nil {
		return tokens{}, errs.New(errs.Unavailable, KeyUnreachable, errors.New("the token endpoint did not answer with an object"))
	}
	switch {
	case t.Error != "" || res.Status != http.StatusOK:
		if res.Status >= http.StatusInternalServerError {
			return tokens{}, errs.New(errs.Unavailable, KeyUnreachable, errors.New("the token endpoint is out of order"))
		}
		return tokens{}, refuse("the token endpoint answered " + bounded(t.Error, 64))
	case t.Access == "" || len(t.Access) > maxAccess || strings.ContainsFunc(t.Access, func(r rune) bool { return r <= ' ' || r > '~' }):
		return tokens{}, refuse("there is no usable access token")
	case !strings.EqualFold(t.Type, "Bearer"):
		return tokens{}, refuse("the access token is not a bearer token")
	}
	return t, nil
}

func (s *Service) redeemOIDC(ctx context.Context, p *provider, wait pending, code string, out *Answer) error {
	m, err := s.metadata(ctx, p)
	if err != nil {
		return err
	}
	t, err := s.exchange(ctx, p, m, wait, code)
	if err != nil {
		return err
	}
	token, err := s.verifyIDToken(ctx, p, m, wait, t.IDToken, t.Access)
	if err != nil {
		return err
	}
	sources := []claims{token}
	// Claims about the person are at userinfo unless the provider put them into the ID token
	// (OIDC Core §5.4).
	if m.UserinfoEndpoint != "" && !(token.has(p.Claims["email"]) && token.has(p.Claims["name"])) {
		more, err := s.userinfo(ctx, m, t.Access, token.text("sub"))
		if err != nil {
			return err
		}
		sources = append(sources, more)
	}
	out.Identity = p.identity(token.text("sub"), sources...)
	out.At = s.d.Clock.Now()
	if at, told := token.seconds("auth_time"); told && at.Before(out.At) {
		out.At = at
	}
	out.MFA = p.TrustMFA && slices.Contains(token.list("amr"), "mfa") // RFC 8176 §2
	return nil
}

// userinfo asks for the claims about the person (OIDC Core §5.3).
func (s *Service) userinfo(ctx context.Context, m metadata, access, sub string) (claims, error) {
	res, err := s.d.Fetch.Call(ctx, m.UserinfoEndpoint, fetch.Request{Header: http.Header{"Authorization": {"Bearer " + access}}})
	if err != nil || res.Status != http.StatusOK {
		return nil, errs.New(errs.Unavailable, KeyUnreachable, errors.Join(errors.New("userinfo did not answer"), err))
	}
	c, ok := parseClaims(res.Body)
	// OIDC Core §5.3.2: without the same sub these are the claims of somebody else.
	if !ok || c.text("sub") != sub {
		return nil, refuse("userinfo is about somebody else")
	}
	return c, nil
}

// identity maps claims. Each comes from the first source that has it; the address and the word on
// whether it is verified come from one and the same, or one could vouch for the address of the
// other.
func (p *provider) identity(sub string, sources ...claims) Identity {
	first := func(name string) string {
		for _, c := range sources {
			if v := tidy(c.text(name)); v != "" {
				return v
			}
		}
		return ""
	}
	out := Identity{
		Provider: p.Name, Issuer: p.Issuer, Subject: sub,
		Name: first(p.Claims["name"]), GivenName: first(p.Claims["given_name"]), FamilyName: first(p.Claims["family_name"]),
		Username: first(p.Claims["username"]), Picture: first(p.Claims["picture"]),
	}
	for _, c := range sources {
		if c.has(p.Claims["email"]) {
			out.Email = tidy(c.text(p.Claims["email"]))
			out.Verified = out.Email != "" && p.TrustEmail && c.isTrue(p.Claims["email_verified"])
			break
		}
	}
	return out
}

// maxClaim bounds a claim that we keep or show, in bytes.
const maxClaim = 1024

// tidy drops what is too long to be what it says. What remains is checked by account, like
// anything that people type.
func tidy(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxClaim {
		return ""
	}
	return s
}

package federation

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
)

// apiVersion is the one of GitHub's REST API that this was written for.
const apiVersion = "2022-11-28"

// redeemGitHub is for GitHub, which speaks OAuth but not OpenID: who it is says its API, over a
// connection that is its own. There is no nonce; PKCE ties the code to this sign-in (RFC 9700
// §4.5.3).
func (s *Service) redeemGitHub(ctx context.Context, p *provider, wait pending, code string, out *Answer) error {
	if wait.Fresh {
		return notFresh() // it neither asks again nor tells when it did
	}
	m, err := s.metadata(ctx, p)
	if err != nil {
		return err
	}
	t, err := s.exchange(ctx, p, m, wait, code)
	if err != nil {
		return err
	}
	var user struct {
		ID     int64  `json:"id"`
		Login  string `json:"login"`
		Name   string `json:"name"`
		Avatar string `json:"avatar_url"`
	}
	var addresses []struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	if err := s.github(ctx, p, "/user", t.Access, &user); err != nil {
		return err
	}
	if user.ID <= 0 {
		return refuse("GitHub does not say who it is")
	}
	// The public address of /user is chosen freely and not verified; this list is what counts.
	if err := s.github(ctx, p, "/user/emails", t.Access, &addresses); err != nil {
		return err
	}
	out.At = s.d.Clock.Now()
	// The login can be changed and taken over by another; the id cannot.
	out.Identity = Identity{
		Provider: p.Name, Issuer: p.Issuer, Subject: strconv.FormatInt(user.ID, 10),
		Name: tidy(user.Name), Username: tidy(user.Login), Picture: tidy(user.Avatar),
	}
	for _, a := range addresses {
		if a.Primary {
			out.Identity.Email = tidy(a.Email)
			out.Identity.Verified = out.Identity.Email != "" && p.TrustEmail && a.Verified
			break
		}
	}
	return nil
}

func (s *Service) github(ctx context.Context, p *provider, path, access string, into any) error {
	api := "https://api.github.com"
	if base := strings.TrimSuffix(p.Issuer, "/"); base != GitHubIssuer {
		api = base + "/api/v3"
	}
	res, err := s.d.Fetch.Call(ctx, api+path, fetch.Request{Header: http.Header{
		"Authorization": {"Bearer " + access}, "X-Github-Api-Version": {apiVersion},
	}})
	if err == nil && res.Status == http.StatusOK {
		err = json.Unmarshal(res.Body, into)
	} else if err == nil {
		err = errors.New("status " + strconv.Itoa(res.Status))
	}
	if err != nil {
		return errs.New(errs.Unavailable, KeyUnreachable, errors.Join(errors.New("GitHub's API did not answer "+path), err))
	}
	return nil
}

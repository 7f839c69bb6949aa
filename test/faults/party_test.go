package faults_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"signet/test/rig"
)

const callback = "http://localhost:9/callback" // nobody listens: the test reads the redirect itself

// outcome of a request as its sender sees it.
type outcome string

const (
	acknowledged outcome = "acknowledged" // 200: the provider is bound by it
	refused      outcome = "refused"      // a clean OAuth error
	unknown      outcome = "unknown"      // the answer was lost; the request may have been served or not
)

type tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	Error        string `json:"error"`
}

// party is a first-party application that asks for offline access.
type party struct {
	issuer string
	client rig.Client
	http   *http.Client
}

func newParty(t *testing.T, p *rig.Provider) *party {
	t.Helper()
	// The longest grace there is: a client that lost an answer asks again when the provider is
	// back, and the machine that runs this may be slow.
	c := p.CreateClient("--kind", "web", "--name", "faults", "--redirect-uri", callback, "--first-party",
		"--grant-type", "authorization_code", "--grant-type", "refresh_token", "--refresh-grace", "60s")
	return &party{p.Issuer, c, &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

func (p *party) authorizeURL(verifier string) string {
	return p.issuer + "/oauth2/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {p.client.ID}, "redirect_uri": {callback},
		"scope": {"openid offline_access"}, "state": {"state"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}.Encode()
}

func (p *party) exchange(code, verifier string) (tokens, outcome) {
	return p.token(url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}})
}

func (p *party) refresh(token string) (tokens, outcome) {
	return p.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

func (p *party) token(form url.Values) (tokens, outcome) {
	var got tokens
	answer, err := p.post("/oauth2/token", form)
	if err != nil {
		return got, unknown
	}
	defer answer.Body.Close()
	// An answer cut off in the middle is no acknowledgement.
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil || answer.StatusCode >= 500 {
		return got, unknown
	}
	if answer.StatusCode == http.StatusOK {
		return got, acknowledged
	}
	return got, refused
}

// revoke says whether the provider acknowledged that the token is no longer good.
func (p *party) revoke(token string) bool {
	answer, err := p.post("/oauth2/revoke", url.Values{"token": {token}})
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

func (p *party) post(path string, form url.Values) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodPost, p.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("post %s: %w", path, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(p.client.ID), url.QueryEscape(p.client.Secret))
	return p.http.Do(req)
}

package oauth

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

	"signet/internal/platform/id"
)

// Request is an authorization request that passed every check, parsed once. It survives JSON:
// a journey freezes it, so that nothing sent later can change what was asked.
type Request struct {
	ClientID      id.Client `json:"client_id"`
	RedirectURI   string    `json:"redirect_uri"`
	ResponseType  string    `json:"response_type,omitempty"` // "" is code
	ResponseMode  string    `json:"response_mode"`           // one of Modes
	Scopes        []string  `json:"scopes"`
	Resources     []string  `json:"resources,omitempty"`
	State         string    `json:"state,omitempty"`
	Nonce         string    `json:"nonce,omitempty"`
	CodeChallenge string    `json:"code_challenge,omitempty"`
	Prompt        []string  `json:"prompt,omitempty"`
	MaxAge        *int64    `json:"max_age,omitempty"` // seconds; nil = not asked
	LoginHint     string    `json:"login_hint,omitempty"`
	UILocales     []string  `json:"ui_locales,omitempty"`
	ACRValues     []string  `json:"acr_values,omitempty"`
	Display       string    `json:"display,omitempty"`
	HintSubject   string    `json:"hint_subject,omitempty"`  // sub of a verified id_token_hint: ask Engine.Hinted
	HintSector    string    `json:"hint_sector,omitempty"`   // under which it was made, for a pairwise client
	ACREssential  bool      `json:"acr_essential,omitempty"` // a sign-in that reaches none of ACRValues has failed
	RequireMFA    bool      `json:"require_mfa,omitempty"`   // the client's registration demands two factors

	Claims        *ClaimsRequest  `json:"claims,omitempty"`
	ClaimsLocales []string        `json:"claims_locales,omitempty"`
	Details       json.RawMessage `json:"authorization_details,omitempty"` // RFC 9396
	JKT           string          `json:"dpop_jkt,omitempty"`              // the code works with this key only (RFC 9449 §10)
	Pushed        string          `json:"pushed,omitempty"`                // id of the pushed request; spent with the answer

	// covered remembers, within one HTTP request, the consent that MissingConsent found to
	// cover this request, so that Issue need not read it a second time: its write demands
	// that this very consent is still there.
	covered consentMark
}

type consentMark struct {
	user    id.User
	version int64
}

func (r *Request) target() *Target {
	return &Target{Client: r.ClientID, RedirectURI: r.RedirectURI, Mode: r.ResponseMode, State: r.State}
}

// Login is the authentication that a code is issued for.
type Login struct {
	User     id.User
	Session  id.Session
	AuthTime time.Time
	ACR      string
	AMR      []string
	// Remembered says that a remembered browser stood in for a second factor, as the deployment allows.
	Remembered bool
}

func addQuery(uri, query string) string {
	for i := range len(uri) {
		if uri[i] == '?' {
			if i == len(uri)-1 {
				return uri + query
			}
			return uri + "&" + query
		}
	}
	return uri + "?" + query
}

// respond builds the response to a checked target. Every response names its issuer
// (RFC 9207 §2), and state goes back byte for byte, only if it was sent (RFC 6749 §4.1.2).
func (e *Engine) respond(t *Target, params url.Values) *Response {
	params.Set("iss", e.issuer)
	if t.State != "" {
		params.Set("state", t.State)
	}
	return &Response{Client: t.Client, RedirectURI: t.RedirectURI, Mode: t.Mode, Params: params}
}

// Refuse answers a request with an error by redirect (RFC 6749 §4.1.2.1). That is an answer too: a
// pushed request is spent by it. It joins the transaction that ctx carries.
func (e *Engine) Refuse(ctx context.Context, r *Request, code, description string) (*Response, error) {
	// Who comes second is refused as well: it gets no more than an error either way.
	if err := e.spendPushed(ctx, r); err != nil && AsError(err).Code != InvalidRequestURI {
		return nil, err
	}
	return e.refusal(r.target(), code, description), nil
}

// RefuseError answers with an error that may be told by redirect; nil if it may not.
func (e *Engine) RefuseError(err *Error) *Response {
	if err.Redirect == nil {
		return nil
	}
	return e.refusal(err.Redirect, err.Code, err.Description)
}

func (e *Engine) refusal(t *Target, code, description string) *Response {
	p := url.Values{"error": {code}}
	if description != "" {
		p.Set("error_description", description)
	}
	return e.respond(t, p)
}

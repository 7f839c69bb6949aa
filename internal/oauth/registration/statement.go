package registration

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/oauth/trust"
	"signet/internal/platform/errs"
)

// statement is a software statement that was verified: the text as it came, and what it says.
type statement struct{ text, claims string }

// skew is how far the clock of a signer may be ahead of ours.
const skew = time.Minute

// read judges the metadata of a request, with what a software statement says in the place of what the
// request says (RFC 7591 §2.3). The issuers of statements are those of which an operator has said that
// they speak of no people: an assertion about somebody is not one.
func (s *Service) read(ctx context.Context, body []byte, terms client.Terms) (client.Registration, statement, error) {
	meta, err := client.ReadRegistration(body, terms, false)
	var st statement
	switch {
	case meta.Statement == "" && s.d.Policy.Statements == Require:
		return meta, st, invalid(oauth.InvalidStatement, "A software_statement is needed.")
	case meta.Statement == "":
		return meta, st, err
	case s.d.Policy.Statements != Accept && s.d.Policy.Statements != Require:
		return meta, st, invalid(oauth.UnapprovedStatement, "Software statements are not accepted here.")
	}
	// Whether the request alone would do does not matter: the statement may complete it.
	st.text = meta.Statement
	if st.claims, err = s.verify(ctx, st.text); err != nil {
		return meta, st, err
	}
	whole, err := client.Override(body, []byte(st.claims))
	if err != nil {
		return meta, st, err
	}
	meta, err = client.ReadRegistration(whole, terms, false)
	return meta, st, err
}

// claimsOf are the claims of a statement that are about itself, not about the client. A statement is
// for any server unless it names some (RFC 7591 §3.1.1).
type claimsOf struct {
	Issuer    string   `json:"iss"`
	Audience  audience `json:"aud"`
	Expires   *int64   `json:"exp"`
	NotBefore *int64   `json:"nbf"`
}

type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// own are the claims that never are client metadata, and members that only the request itself has.
var own = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "software_statement", "client_id", "client_secret"}

// verify returns the client metadata that a statement asserts.
func (s *Service) verify(ctx context.Context, text string) (string, error) {
	about := func(i trust.Issuer) bool { return i.Subject == trust.None }
	_, payload, err := s.d.Trust.Verify(ctx, text, about, "", "JWT", "software-statement+jwt")
	if errs.Is(err, errs.Unavailable) {
		return "", err
	}
	if err != nil {
		return "", badStatement(err)
	}
	var c claimsOf
	var all map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(payload, &c), json.Unmarshal(payload, &all)); err != nil {
		return "", badStatement(err)
	}
	now := s.d.Clock.Now()
	switch {
	case c.Expires != nil && !now.Before(time.Unix(*c.Expires, 0)):
		return "", badStatement(errors.New("expired"))
	case c.NotBefore != nil && time.Unix(*c.NotBefore, 0).After(now.Add(skew)):
		return "", badStatement(errors.New("not valid yet"))
	case c.Audience != nil && !c.Audience.names(s.d.Issuer, s.d.Issuer+Path):
		return "", badStatement(errors.New("for another server"))
	}
	for _, name := range own {
		delete(all, name)
	}
	out, err := json.Marshal(all)
	return string(out), err
}

func (a audience) names(any ...string) bool {
	for _, v := range a {
		for _, want := range any {
			if v == want {
				return true
			}
		}
	}
	return false
}

func badStatement(cause error) error {
	return &oauth.Error{
		Code: oauth.InvalidStatement, Description: "The software_statement is not signed by anybody who is trusted here, has expired, or is for another server.",
		Status: http.StatusBadRequest, Cause: cause,
	}
}

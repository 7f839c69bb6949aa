package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
)

// ClaimsRequest is the claims parameter (OIDC Core §5.5): which claims are wanted where. It has
// those alone that may be released.
type ClaimsRequest struct {
	Userinfo map[string]*ClaimRequest `json:"userinfo,omitempty"`
	IDToken  map[string]*ClaimRequest `json:"id_token,omitempty"`
}

// ClaimRequest is how one claim is wanted; nil stands for "if you have it".
type ClaimRequest struct {
	Essential bool              `json:"essential,omitempty"`
	Value     json.RawMessage   `json:"value,omitempty"`
	Values    []json.RawMessage `json:"values,omitempty"`
}

// wanted lists the values asked for; none means any.
func (c *ClaimRequest) wanted() []json.RawMessage {
	switch {
	case c == nil:
		return nil
	case c.Value != nil:
		return []json.RawMessage{c.Value}
	}
	return c.Values
}

// Limits of the claims parameter.
const (
	maxClaimsText  = 8 << 10
	maxClaimNames  = 128 // in one section, known or not
	maxClaimValues = 16
	maxClaimValue  = 512 // bytes
)

// checkClaims reads the claims parameter. Claims that nobody knows are ignored (OIDC Core §5.5), and
// so are those whose scope the application did not register: it can get no more this way than by
// scope. What is not of the form of §5.5.1 is refused whole.
func checkClaims(_ context.Context, a *authorization) error {
	a.req.ClaimsLocales = words(a.get("claims_locales")) // a preference: every claim has one language here
	text := a.get("claims")
	if text == "" {
		return nil
	}
	asked, err := parseClaims(text)
	if err != nil {
		return refuse(InvalidRequest, "claims is malformed or too long.").because(err)
	}
	if err := a.wantSubject(asked); err != nil {
		return err
	}
	if err := a.wantClass(asked.IDToken["acr"]); err != nil {
		return err
	}
	if !slices.Contains(a.req.Scopes, ScopeOpenID) {
		return nil // without it this is no OpenID request (OIDC Core §3.1.2.1)
	}
	closed := func(name string, _ *ClaimRequest) bool {
		scope := scopeOfClaim[name]
		return scope == "" || !a.client.AllowsScope(scope)
	}
	maps.DeleteFunc(asked.Userinfo, closed)
	maps.DeleteFunc(asked.IDToken, closed)
	if len(asked.Userinfo)+len(asked.IDToken) > 0 {
		a.req.Claims = asked
	}
	return nil
}

// wantSubject: sub with a value means that very person, like a hint (OIDC Core §5.5.1).
func (a *authorization) wantSubject(asked *ClaimsRequest) error {
	for _, c := range []*ClaimRequest{asked.IDToken["sub"], asked.Userinfo["sub"]} {
		list := c.wanted()
		if len(list) == 0 {
			continue
		}
		var sub string
		if len(list) > 1 || json.Unmarshal(list[0], &sub) != nil || sub == "" || len(sub) > maxHint {
			return refuse(InvalidRequest, "claims asks for a sub that cannot be.")
		}
		if a.req.HintSubject != "" && a.req.HintSubject != sub {
			return refuse(InvalidRequest, "claims and id_token_hint name different people.")
		}
		a.req.HintSubject, a.req.HintSector = sub, sectorOf(a.client)
	}
	return nil
}

// wantClass: an essential acr with values is a demand; a sign-in that does not reach one of them has
// failed (OIDC Core §5.5.1.1). A voluntary one is a wish, as acr_values is.
func (a *authorization) wantClass(c *ClaimRequest) error {
	list := c.wanted()
	if len(list) == 0 {
		return nil
	}
	classes := make([]string, len(list))
	for i, raw := range list {
		if json.Unmarshal(raw, &classes[i]) != nil || classes[i] == "" {
			return refuse(InvalidRequest, "claims asks for an acr that is no string.")
		}
	}
	a.req.ACRValues, a.req.ACREssential = classes, c.Essential
	return nil
}

// checkDefaults fills in what the client registered for requests that say nothing (OIDC Registration
// §2: default_max_age, default_acr_values).
func checkDefaults(_ context.Context, a *authorization) error {
	m := &a.client.Metadata
	if a.req.MaxAge == nil && m.DefaultMaxAge != nil {
		age := *m.DefaultMaxAge
		a.req.MaxAge = &age
	}
	if len(a.req.ACRValues) == 0 {
		a.req.ACRValues = m.DefaultACRValues
	}
	return nil
}

var errClaims = errors.New("not of the form of OIDC Core §5.5.1")

// parseClaims reads the text of the claims parameter. Members of the object other than userinfo and
// id_token are ignored (§5.5).
func parseClaims(text string) (*ClaimsRequest, error) {
	if len(text) > maxClaimsText {
		return nil, errClaims
	}
	sections, err := jsonMembers([]byte(text))
	if err != nil {
		return nil, err
	}
	out := &ClaimsRequest{}
	if out.Userinfo, err = parseSection(sections["userinfo"]); err != nil {
		return nil, err
	}
	out.IDToken, err = parseSection(sections["id_token"])
	return out, err
}

func parseSection(raw json.RawMessage) (map[string]*ClaimRequest, error) {
	if raw == nil || string(raw) == "null" {
		return nil, nil
	}
	list, err := jsonMembers(raw)
	if err != nil {
		return nil, err
	}
	out := make(map[string]*ClaimRequest, len(list))
	for name, value := range list {
		if out[name], err = parseClaim(value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// parseClaim reads what is asked of one claim: null, or an object whose unknown members are ignored.
func parseClaim(raw json.RawMessage) (*ClaimRequest, error) {
	if string(raw) == "null" {
		return nil, nil
	}
	list, err := jsonMembers(raw)
	if err != nil {
		return nil, err
	}
	c := &ClaimRequest{Value: list["value"]}
	if v := list["essential"]; v != nil {
		if err := json.Unmarshal(v, &c.Essential); err != nil || string(v) == "null" {
			return nil, errClaims
		}
	}
	if v := list["values"]; v != nil {
		if err := json.Unmarshal(v, &c.Values); err != nil || c.Values == nil || c.Value != nil {
			return nil, errClaims
		}
	}
	if len(c.Values) > maxClaimValues {
		return nil, errClaims
	}
	for _, v := range c.wanted() {
		if len(v) > maxClaimValue {
			return nil, errClaims
		}
	}
	return c, nil
}

// jsonMembers reads a JSON object whose names are unique: of two members with one name, each reader would
// pick another (RFC 8259 §4).
func jsonMembers(raw []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errClaims
	}
	out := map[string]json.RawMessage{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		var value json.RawMessage
		if err != nil || !ok || dec.Decode(&value) != nil {
			return nil, errClaims
		}
		if _, twice := out[name]; twice || len(out) == maxClaimNames {
			return nil, errClaims
		}
		out[name] = value
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, errClaims
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errClaims
	}
	return out, nil
}

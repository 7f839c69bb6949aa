package oauth

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/oauth/keys"
)

// answerLife is how long a signed response is good for; JARM §2.1 recommends ten minutes at most.
const answerLife = 5 * time.Minute

// Deliver makes a response ready to be sent: in the modes of JARM all its parameters become one JWT,
// signed and, where the client registered that, encrypted (JARM §2.1, §2.2). It writes nothing and
// belongs behind the transaction of the answer: it may have to wait for a client's keys.
func (e *Engine) Deliver(ctx context.Context, r *Response) (*Response, error) {
	if !strings.HasSuffix(r.Mode, signedEnd) {
		return r, nil
	}
	c, err := e.clients.Get(ctx, r.Client)
	if err != nil {
		return nil, AsError(err)
	}
	claims := map[string]any{"aud": string(c.ID), "exp": e.clock.Now().Add(answerLife).Unix()}
	for name, values := range r.Params {
		claims[name] = values[0] // iss is among them (RFC 9207 §2)
	}
	claims["iss"] = e.issuer
	body, err := json.Marshal(claims)
	if err != nil {
		return nil, AsError(err)
	}
	m := &c.Metadata
	// No typ: an answer is never taken for an ID token that comes back as a hint (RFC 8725 §3.11).
	token, err := e.sign(ctx, answerAlg(c), "", body)
	if err == nil {
		token, err = e.protect(ctx, c, m.AuthorizationEncAlg, m.AuthorizationEncEnc, token)
	}
	if err != nil {
		return nil, AsError(err)
	}
	return &Response{
		Client: r.Client, RedirectURI: r.RedirectURI, Mode: carrier(r.Mode), Params: url.Values{"response": {token}},
	}, nil
}

// answerAlg is the algorithm of a client's signed responses: the registered one, else RS256 (JARM §3),
// which FAPI 2.0 Security Profile §5.4.1 does not allow.
func answerAlg(c *client.Client) string {
	if c.Metadata.UnderFAPI() {
		return cmp.Or(c.Metadata.AuthorizationAlg, keys.ES256)
	}
	return cmp.Or(c.Metadata.AuthorizationAlg, keys.RS256)
}

package oauth

import (
	"context"
	"crypto"
	"crypto/subtle"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

const (
	maxProof  = 8 << 10 // two RSA numbers of the largest key fit, written as base64 twice
	typProof  = "dpop+jwt"
	jktLength = 43
	// proofSkew is how far iat may be from now: the clocks of devices differ (RFC 9449 §11.1). With
	// one of our nonces in the proof, its age is what counts, and a wrong clock does no harm.
	proofSkew = time.Minute
	// markLife is longer than any proof can be used, by iat or by nonce.
	markLife = 3 * nonceWindow
)

// ProofAlgs are the algorithms of DPoP proofs (RFC 9449 §5.1).
func ProofAlgs() []string { return client.SignatureAlgs() }

// proof is a DPoP proof (RFC 9449 §4.2) whose signature and claims were checked. Whether it was used
// before is for spendProof.
type proof struct {
	jkt   string // thumbprint of the key that signed it (RFC 7638)
	alg   string
	jti   string
	ath   string
	path  string
	spent bool
}

type proofClaims struct {
	ID        string   `json:"jti"`
	Method    string   `json:"htm"`
	URI       string   `json:"htu"`
	IssuedAt  *numeric `json:"iat"`
	NotBefore *numeric `json:"nbf"`
	Expires   *numeric `json:"exp"`
	Hash      string   `json:"ath"`
	Nonce     string   `json:"nonce"`
}

func badProof(text string) *Error {
	return refuse(InvalidDPoPProof, "The DPoP proof "+text+".")
}

// readProof checks the DPoP proof of a call by RFC 9449 §4.3, once; nil without one. It asks nobody
// and writes nothing, so that a client which only lacks a nonce has lost nothing: neither its
// assertion nor its code.
func (e *Engine) readProof(call *Call) (*proof, error) {
	headers := call.Header["Dpop"]
	switch {
	case call.proof != nil:
		return call.proof, nil
	case len(headers) == 0:
		return nil, nil
	case len(headers) > 1: // §4.3 no. 1
		return nil, badProof("stands in the request more than once")
	}
	p, claims, err := parseProof(headers[0])
	if err != nil {
		return nil, err
	}
	if claims.Method != call.Method { // no. 8
		return nil, badProof("is for another method (htm)")
	}
	if !e.sameEndpoint(claims.URI, call.Path) { // no. 9
		return nil, badProof("is for another address (htu)")
	}
	if err := e.proofAge(call, claims); err != nil { // no. 10, 11
		return nil, err
	}
	p.path, call.proof = call.Path, p
	return p, nil
}

// parseProof checks what the proof says about itself: a JWT of the right type, signed with the key
// that it carries, with every claim that §4.2 demands.
func parseProof(text string) (*proof, *proofClaims, error) {
	if len(text) > maxProof || strings.Count(text, ".") != 2 {
		return nil, nil, badProof("is not a JWT")
	}
	jws, err := jose.ParseSignedCompact(text, AssertionAlgs)
	if err != nil {
		return nil, nil, badProof("is malformed, or its algorithm is not supported").because(err)
	}
	head := jws.Signatures[0].Protected
	key := head.JSONWebKey
	if typ, _ := head.ExtraHeaders[jose.HeaderType].(string); typ != typProof {
		return nil, nil, badProof("is not of the type dpop+jwt")
	}
	if key == nil || !key.Valid() || !key.IsPublic() || client.UsableKey(*key) != nil {
		return nil, nil, badProof("carries no public key of a supported kind (jwk)")
	}
	for _, name := range []jose.HeaderKey{"crit", "b64", "jku", "x5u", "x5c"} {
		if _, found := head.ExtraHeaders[name]; found {
			return nil, nil, badProof("has a header that is not allowed")
		}
	}
	raw, err := jws.Verify(key)
	if err != nil {
		return nil, nil, badProof("is not signed with the key that it carries").because(err)
	}
	claims := new(proofClaims)
	if err := josejson.Unmarshal(raw, claims); err != nil { // refuses duplicate members
		return nil, nil, badProof("has malformed claims").because(err)
	}
	if claims.ID == "" || len(claims.ID) > maxJTI || claims.IssuedAt == nil {
		return nil, nil, badProof("lacks jti or iat")
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, nil, badProof("carries a key that is not supported").because(err)
	}
	return &proof{jkt: encode64(sum), alg: head.Algorithm, jti: claims.ID, ath: claims.Hash}, claims, nil
}

// proofAge is §4.3 no. 10 and 11: a nonce of ours where we demand one, otherwise a fresh iat.
func (e *Engine) proofAge(call *Call, c *proofClaims) error {
	now := e.clock.Now()
	if e.policy.DPoPNonce {
		ok, newest := e.nonces.check(c.Nonce, now)
		if !newest {
			call.say("DPoP-Nonce", e.nonces.at(now)) // §8.2
		}
		if !ok {
			return refuse(UseDPoPNonce, "The DPoP proof needs the nonce of the DPoP-Nonce header.")
		}
	} else if at := c.IssuedAt.time(); at.Before(now.Add(-proofSkew)) || at.After(now.Add(proofSkew)) {
		return badProof("is too old, or from the future (iat)")
	}
	if c.NotBefore != nil && c.NotBefore.time().After(now.Add(proofSkew)) ||
		c.Expires != nil && !now.Before(c.Expires.time().Add(proofSkew)) {
		return badProof("is not valid now (nbf, exp)")
	}
	return nil
}

// sameEndpoint reports whether htu means the endpoint that was called, here or at the listener for
// certificates: without query and fragment (§4.3 no. 9), after normalization (RFC 3986 §6.2.2,
// §6.2.3).
func (e *Engine) sameEndpoint(htu, path string) bool {
	if htu == "" || len(htu) > maxURI {
		return false
	}
	u, err := url.Parse(htu)
	if err != nil || u.Opaque != "" || u.User != nil || u.Host == "" {
		return false
	}
	got := originOf(u) + u.EscapedPath()
	for _, origin := range []string{e.issuer, e.policy.MTLS} {
		if o, err := url.Parse(origin); err == nil && origin != "" && got == originOf(o)+path {
			return true
		}
	}
	return false
}

// originOf writes scheme and host in lower case, without the scheme's own port.
func originOf(u *url.URL) string {
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return scheme + "://" + host
}

// fits is what the client's profile allows of a proof (FAPI 2.0 Security Profile §5.4.1).
func (p *proof) fits(c *client.Client) error {
	if c.Metadata.UnderFAPI() && !slices.Contains(client.FAPIAlgs(), p.alg) {
		return badProof("is signed with an algorithm that the application's profile does not allow")
	}
	return nil
}

// spendProof admits a proof once, at any number of instances (RFC 9449 §11.1): one insert decides.
// It is called last, when the proof has served; until then anybody could fill the table. user is whom the
// request is for, if there is one: the mark counts as that user's, too (boundMarks).
func (e *Engine) spendProof(ctx context.Context, c *client.Client, user id.User, p *proof) error {
	if p.spent {
		return nil
	}
	if err := e.boundMarks(ctx, c, user); err != nil {
		return err
	}
	mark := "dpop:" + id.Digest(p.jkt+"\x00"+p.path+"\x00"+p.jti)
	var spent string
	err := e.db.Q(ctx).QueryRow(ctx, sqlMarkProof, mark, store.Micros(e.clock.Now().Add(markLife))).Scan(&spent)
	if isNoRows(err) {
		return badProof("was used before (jti)")
	}
	p.spent = err == nil
	return err
}

// holds compares a thumbprint with the one that a token, code or request is bound to.
func holds(proven, bound string) bool {
	return subtle.ConstantTimeCompare([]byte(proven), []byte(bound)) == 1
}

package main

import (
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// proofWindow is how far a proof's iat may be from now, and longer than that it is remembered.
const proofWindow = time.Minute

// proofs are the DPoP proofs that were seen.
type proofs struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

type proofClaims struct {
	ID       string `json:"jti"`
	Method   string `json:"htm"`
	URI      string `json:"htu"`
	IssuedAt int64  `json:"iat"`
	Hash     string `json:"ath"`
}

// check is RFC 9449 §4.3 for a request with a token that is bound to the key jkt.
func (p *proofs) check(req *http.Request, token, jkt string) error {
	headers := req.Header["Dpop"]
	if len(headers) != 1 {
		return errors.New("one proof is needed")
	}
	jws, err := jose.ParseSignedCompact(headers[0], []jose.SignatureAlgorithm{jose.ES256, jose.PS256, jose.EdDSA})
	if err != nil {
		return err
	}
	head := jws.Signatures[0].Protected
	if typ, _ := head.ExtraHeaders[jose.HeaderType].(string); typ != "dpop+jwt" || head.JSONWebKey == nil || !head.JSONWebKey.IsPublic() {
		return errors.New("not a proof with a public key")
	}
	payload, err := jws.Verify(head.JSONWebKey)
	if err != nil {
		return err
	}
	var c proofClaims
	if err := json.Unmarshal(payload, &c); err != nil {
		return err
	}
	sum, err := head.JSONWebKey.Thumbprint(crypto.SHA256)
	if err != nil {
		return err
	}
	hash := sha256.Sum256([]byte(token))
	if !same(encode(sum), jkt) || !same(c.Hash, encode(hash[:])) || c.Method != req.Method || !here(c.URI, req) {
		return errors.New("the proof is by another key, or for another token or request")
	}
	return p.spend(c)
}

// here says whether htu is the request's address, whatever its query (RFC 9449 §4.3 no. 9).
func here(htu string, req *http.Request) bool {
	u, err := url.Parse(htu)
	return err == nil && u.Scheme == "https" && strings.EqualFold(u.Host, req.Host) && u.Path == req.URL.Path
}

// spend takes a proof of now, once.
func (p *proofs) spend(c proofClaims) error {
	now := time.Now()
	if age := now.Sub(time.Unix(c.IssuedAt, 0)); c.ID == "" || age > proofWindow || age < -proofWindow {
		return errors.New("the proof is not of now")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, at := range p.seen {
		if now.Sub(at) > 3*proofWindow {
			delete(p.seen, id)
		}
	}
	if _, found := p.seen[c.ID]; found {
		return errors.New("the proof was used before")
	}
	p.seen[c.ID] = now
	return nil
}

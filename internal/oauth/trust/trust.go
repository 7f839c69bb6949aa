// Package trust knows whose signed statements are believed beside our own: the issuers that an operator
// names in jwt_issuers. It verifies a JWT with the keys of the issuer that it names; what the statement
// is good for is decided by who asks: internal/oauth for assertions (RFC 7523), internal/oauth/registration
// for software statements (RFC 7591 §2.3). It holds no state of its own: key sets behind an address are
// kept by internal/oauth/client.
package trust

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"

	"signet/internal/oauth/client"
)

// Subject says what the sub of an issuer's statements is.
type Subject string

// The kinds of subjects.
const (
	Account  Subject = "account"  // the id of an account here
	Email    Subject = "email"    // a verified address
	Upstream Subject = "upstream" // a subject of the provider of the same name
	None     Subject = "none"     // nobody: statements about software only
)

// Issuer is somebody whose statements are believed.
type Issuer struct {
	Name    string // short; clients list it
	Issuer  string // iss
	JWKS    json.RawMessage
	JWKSURI string
	Subject Subject // "" is Account
}

// Keys reads key sets behind an address; client.Service is it.
type Keys interface {
	KeysAt(ctx context.Context, uri, kid string) (jose.JSONWebKeySet, error)
}

// Service verifies statements. It is immutable and safe for concurrent use.
type Service struct {
	keys    Keys
	issuers map[string]trusted // by iss
}

type trusted struct {
	Issuer
	set jose.JSONWebKeySet
}

// New returns a Service.
func New(keys Keys, issuers []Issuer) (*Service, error) {
	s := &Service{keys: keys, issuers: map[string]trusted{}}
	for _, i := range issuers {
		if i.Subject == "" {
			i.Subject = Account
		}
		t := trusted{Issuer: i}
		if _, twice := s.issuers[i.Issuer]; twice || i.Issuer == "" || i.Name == "" {
			return nil, fmt.Errorf("trust: issuer %q is named twice, or has no name or iss", i.Name)
		}
		switch {
		case len(i.JWKS) > 0 && i.JWKSURI == "":
			var err error
			if t.set, err = client.ParseKeys(i.JWKS); err != nil {
				return nil, fmt.Errorf("trust: the key set of %s %w", i.Name, err)
			}
		case len(i.JWKS) > 0 || i.JWKSURI == "" || keys == nil:
			return nil, fmt.Errorf("trust: issuer %s needs either a key set or its address", i.Name)
		}
		s.issuers[i.Issuer] = t
	}
	return s, nil
}

// Speaks reports whether there is an issuer whose statements are about people.
func (s *Service) Speaks() bool {
	if s == nil {
		return false
	}
	for _, i := range s.issuers {
		if i.Subject != None {
			return true
		}
	}
	return false
}

const (
	maxText = 16 << 10
	maxKid  = 512
)

// Verify checks who signed a statement and returns its payload. may says whether the issuer counts for
// this caller, before any key is looked for; types are the typ values that it may have, compared without
// regard to case, "" among them for none (RFC 8725 §3.11). The claims are for the caller to judge. An error of kind errs.Unavailable says that
// the issuer's keys cannot be read now; every other that the statement is not to be believed.
func (s *Service) Verify(ctx context.Context, text string, may func(Issuer) bool, types ...string) (Issuer, []byte, error) {
	none := Issuer{}
	if s == nil {
		return none, nil, errors.New("no issuer is trusted")
	}
	if len(text) > maxText || strings.Count(text, ".") != 2 {
		return none, nil, errors.New("not a compact JWS of sensible size")
	}
	jws, err := jose.ParseSignedCompact(text, algorithms())
	if err != nil {
		return none, nil, fmt.Errorf("malformed: %w", err)
	}
	head := jws.Signatures[0].Protected
	if err := checkHeader(head, types); err != nil {
		return none, nil, err
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	// This decoder refuses duplicate members (RFC 7519 §4).
	if err := josejson.Unmarshal(jws.UnsafePayloadWithoutVerification(), &claims); err != nil {
		return none, nil, fmt.Errorf("malformed: %w", err)
	}
	i, known := s.issuers[claims.Issuer]
	if !known || !may(i.Issuer) {
		return none, nil, errors.New("of an issuer that does not count here")
	}
	set := client.SigningKeys(i.set, head.KeyID)
	if i.JWKSURI != "" {
		if set, err = s.keys.KeysAt(ctx, i.JWKSURI, head.KeyID); err != nil {
			return none, nil, err
		}
	}
	payload, err := client.Verify(jws, set)
	return i.Issuer, payload, err
}

func checkHeader(head jose.Header, types []string) error {
	if err := client.CheckHeader(head); err != nil {
		return err
	}
	if len(head.KeyID) > maxKid {
		return errors.New("the kid is too long")
	}
	typ, _ := head.ExtraHeaders[jose.HeaderType].(string)
	if !slices.ContainsFunc(types, func(t string) bool { return strings.EqualFold(t, typ) }) {
		return errors.New("another token's type")
	}
	return nil
}

func algorithms() []jose.SignatureAlgorithm {
	var out []jose.SignatureAlgorithm
	for _, a := range client.SignatureAlgs() {
		out = append(out, jose.SignatureAlgorithm(a))
	}
	return out
}

package federation

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/platform/errs"
)

// metadata is what a provider says about itself (OpenID Connect Discovery §3).
type metadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	UserinfoEndpoint      string   `json:"userinfo_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	ResponseTypes         []string `json:"response_types_supported"`
	IDTokenAlgs           []string `json:"id_token_signing_alg_values_supported"`
	TokenAuth             []string `json:"token_endpoint_auth_methods_supported"`
	IssInResponse         bool     `json:"authorization_response_iss_parameter_supported"`
}

// signatureAlgs are the algorithms an ID token may have. All are asymmetric: "none" proves nothing,
// and with HMAC whoever holds our client secret could sign for anybody.
var signatureAlgs = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// algs are those of signatureAlgs that the provider says it uses.
func (m metadata) algs() []jose.SignatureAlgorithm {
	if len(m.IDTokenAlgs) == 0 {
		return signatureAlgs
	}
	var out []jose.SignatureAlgorithm
	for _, a := range signatureAlgs {
		if slices.Contains(m.IDTokenAlgs, string(a)) {
			out = append(out, a)
		}
	}
	return out
}

// metadata returns what the provider says about itself; of GitHub, which says nothing, what its
// documentation says.
func (s *Service) metadata(ctx context.Context, p *provider) (metadata, error) {
	if p.Kind == GitHub {
		base := strings.TrimSuffix(p.Issuer, "/") + "/login/oauth/"
		return metadata{Issuer: p.Issuer, AuthorizationEndpoint: base + "authorize", TokenEndpoint: base + "access_token"}, nil
	}
	// OpenID Connect Discovery §4: a final slash of the issuer is dropped here, and only here.
	address := strings.TrimSuffix(p.Issuer, "/") + "/.well-known/openid-configuration"
	return p.discovery.load(ctx, s.d.Clock.Now(), address, false, func(ctx context.Context, address string) (metadata, error) {
		body, err := s.d.Fetch.GetJSON(ctx, address)
		if err != nil {
			return metadata{}, err // logged there
		}
		m, err := parseMetadata(body, p.Issuer)
		if err != nil {
			s.d.Log.WarnContext(ctx, "the metadata of an upstream provider is unusable", "provider", p.Name, "error", err.Error())
		}
		return m, err
	})
}

func parseMetadata(body []byte, issuer string) (metadata, error) {
	var m metadata
	if err := json.Unmarshal(body, &m); err != nil {
		return m, errors.New("not a JSON object with the members of OpenID Connect Discovery")
	}
	// OpenID Connect Discovery §4.3: exactly the issuer that was asked for. A document that names
	// another one would let it speak for this one.
	if m.Issuer != issuer {
		return metadata{}, errors.New("the issuer is not the one that is configured, byte for byte")
	}
	if len(m.ResponseTypes) > 0 && !slices.Contains(m.ResponseTypes, "code") {
		return metadata{}, errors.New("the code flow is not supported")
	}
	if len(m.algs()) == 0 {
		return metadata{}, errors.New("ID tokens are signed with no asymmetric algorithm that is known here")
	}
	own, err := url.Parse(issuer)
	if err != nil {
		return metadata{}, err
	}
	for name, e := range map[string]string{
		"authorization_endpoint": m.AuthorizationEndpoint, "token_endpoint": m.TokenEndpoint, "jwks_uri": m.JWKSURI,
		"userinfo_endpoint": m.UserinfoEndpoint,
	} {
		if e == "" && name == "userinfo_endpoint" {
			continue
		}
		u, err := url.Parse(e)
		// Plain http only where the issuer itself is, which is for development.
		if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || own.Scheme != "http") {
			return metadata{}, errors.New(name + " is not an https URL")
		}
	}
	return m, nil
}

// tokenAuth is how we authenticate at the token endpoint (OIDC Core §9). A provider that lists
// nothing means client_secret_basic (OpenID Connect Discovery §3).
func (m metadata) tokenAuth(hasSecret bool) (string, error) {
	switch {
	case !hasSecret:
		return "none", nil
	case len(m.TokenAuth) == 0 || slices.Contains(m.TokenAuth, "client_secret_basic"):
		return "client_secret_basic", nil
	case slices.Contains(m.TokenAuth, "client_secret_post"):
		return "client_secret_post", nil
	}
	return "", errs.New(errs.Unavailable, KeyUnreachable, errors.New("the provider takes no client secret"))
}

package oauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"html/template"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/ory/fosite"
	"github.com/ory/fosite/i18n"
	"github.com/ory/fosite/token/jwt"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
)

// wire builds the provider: fosite's core with our configuration, client authentication and
// handlers. Each grant has exactly one handler, so "not mine" answers never happen.
func (e *Engine) wire() {
	e.grants = map[string]fosite.TokenEndpointHandlers{
		client.GrantAuthorizationCode: {&codeGrant{e: e}},
		client.GrantRefreshToken:      {&refreshGrant{e: e}},
		client.GrantClientCredentials: {&credentialsGrant{e: e}},
		client.GrantTokenExchange:     {&exchangeGrant{e: e}},
	}
	if e.trust.Speaks() && e.resolver != nil {
		e.grants[client.GrantJWTBearer] = fosite.TokenEndpointHandlers{&bearerGrant{e: e}}
	}
	if e.limits != nil {
		e.grants[client.GrantDeviceCode] = fosite.TokenEndpointHandlers{&polledGrant{e: e, polled: byDevice}}
	}
	if e.limits != nil && e.ciba.ready() {
		e.grants[client.GrantCIBA] = fosite.TokenEndpointHandlers{&polledGrant{e: e, polled: byCIBA}}
	}
	e.provider = fosite.NewOAuth2Provider(clientStore{e}, &configurator{
		e: e, authorize: fosite.AuthorizeEndpointHandlers{&issuer{e}},
	})
}

// clientStore is the part of fosite's storage that its core asks for. Tokens and grants never
// pass through it: their handlers use sql.go.
type clientStore struct{ e *Engine }

func (s clientStore) GetClient(ctx context.Context, cid string) (fosite.Client, error) {
	c, err := s.e.clients.Get(ctx, id.Client(cid))
	if err != nil {
		return nil, err
	}
	return clientView{c}, nil
}

var errUnused = errors.New("oauth: assertions are spent by our own client authentication")

func (clientStore) ClientAssertionJWTValid(context.Context, string) error { return errUnused }
func (clientStore) SetClientAssertionJWT(context.Context, string, time.Time) error {
	return errUnused
}

// clientView shows a client to fosite. It has no secret to show: VerifySecret is the only check.
type clientView struct{ *client.Client }

func (v clientView) GetID() string                   { return string(v.ID) }
func (v clientView) GetHashedSecret() []byte         { return nil }
func (v clientView) GetRedirectURIs() []string       { return v.Metadata.RedirectURIs }
func (v clientView) GetGrantTypes() fosite.Arguments { return v.Metadata.GrantTypes }
func (v clientView) GetResponseTypes() fosite.Arguments {
	return fosite.Arguments(v.Metadata.ResponseTypes)
}
func (v clientView) GetScopes() fosite.Arguments   { return v.Metadata.Scopes }
func (v clientView) IsPublic() bool                { return v.Public() }
func (v clientView) GetAudience() fosite.Arguments { return v.Metadata.Audiences }
func (v clientView) GetResponseModes() []fosite.ResponseModeType {
	return []fosite.ResponseModeType{fosite.ResponseModeQuery, fosite.ResponseModeFragment, fosite.ResponseModeFormPost}
}

type flowKey struct{}

// configurator answers fosite's questions. Most settings belong to handlers that are not in use;
// they have the strictest value, so that nothing opens if one is ever called. It is immutable:
// fosite's own Config fills itself on first use, which is a data race.
type configurator struct {
	e         *Engine
	authorize fosite.AuthorizeEndpointHandlers
}

var _ fosite.Configurator = (*configurator)(nil)

// GetTokenEndpointHandlers returns the one handler of the grant being asked for.
func (c *configurator) GetTokenEndpointHandlers(ctx context.Context) fosite.TokenEndpointHandlers {
	f, _ := ctx.Value(flowKey{}).(*flow)
	if f == nil {
		return nil
	}
	return c.e.grants[f.grantType]
}

// GetClientAuthenticationStrategy returns ours, in place of fosite's (engine: one method per
// request, the registered one).
func (c *configurator) GetClientAuthenticationStrategy(context.Context) fosite.ClientAuthenticationStrategy {
	return func(ctx context.Context, _ *http.Request, _ url.Values) (fosite.Client, error) {
		f, _ := ctx.Value(flowKey{}).(*flow)
		if f == nil {
			return nil, errUnused
		}
		cl, err := c.e.authenticate(ctx, f.call)
		if err != nil {
			return nil, err
		}
		f.client = cl
		return clientView{cl}, nil
	}
}

func (c *configurator) GetAuthorizeEndpointHandlers(context.Context) fosite.AuthorizeEndpointHandlers {
	return c.authorize
}
func (c *configurator) GetIDTokenIssuer(context.Context) string              { return c.e.issuer }
func (c *configurator) GetAccessTokenIssuer(context.Context) string          { return c.e.issuer }
func (c *configurator) GetIDTokenLifespan(context.Context) time.Duration     { return c.e.ttl.ID }
func (c *configurator) GetAccessTokenLifespan(context.Context) time.Duration { return c.e.ttl.Access }
func (c *configurator) GetRefreshTokenLifespan(context.Context) time.Duration {
	return c.e.ttl.RefreshIdle
}
func (c *configurator) GetAuthorizeCodeLifespan(context.Context) time.Duration { return c.e.ttl.Code }
func (c *configurator) GetVerifiableCredentialsNonceLifespan(context.Context) time.Duration {
	return c.e.ttl.Code
}
func (c *configurator) GetAllowedPrompts(context.Context) []string                   { return prompts }
func (c *configurator) GetEnforcePKCE(context.Context) bool                          { return true }
func (c *configurator) GetEnforcePKCEForPublicClients(context.Context) bool          { return true }
func (c *configurator) GetEnablePKCEPlainChallengeMethod(context.Context) bool       { return false }
func (c *configurator) GetGrantTypeJWTBearerCanSkipClientAuth(context.Context) bool  { return false }
func (c *configurator) GetGrantTypeJWTBearerIDOptional(context.Context) bool         { return false }
func (c *configurator) GetGrantTypeJWTBearerIssuedDateOptional(context.Context) bool { return false }
func (c *configurator) GetJWTMaxDuration(context.Context) time.Duration              { return maxAssertionLife }
func (c *configurator) GetOmitRedirectScopeParam(context.Context) bool               { return true }
func (c *configurator) GetSanitationWhiteList(context.Context) []string              { return nil }
func (c *configurator) GetJWTScopeField(context.Context) jwt.JWTScopeFieldEnum {
	return jwt.JWTScopeFieldString
}
func (c *configurator) GetDisableRefreshTokenValidation(context.Context) bool { return false }
func (c *configurator) GetRefreshTokenScopes(context.Context) []string {
	return []string{ScopeOfflineAccess}
}
func (c *configurator) GetTokenEntropy(context.Context) int                               { return 32 }
func (c *configurator) GetMinParameterEntropy(context.Context) int                        { return 0 }
func (c *configurator) GetHMACHasher(context.Context) func() hash.Hash                    { return sha256.New }
func (c *configurator) GetSendDebugMessagesToClients(context.Context) bool                { return false }
func (c *configurator) GetUseLegacyErrorFormat(context.Context) bool                      { return false }
func (c *configurator) GetMessageCatalog(context.Context) i18n.MessageCatalog             { return nil }
func (c *configurator) GetFormPostHTMLTemplate(context.Context) *template.Template        { return nil }
func (c *configurator) GetTokenURLs(context.Context) []string                             { return []string{c.e.issuer} }
func (c *configurator) GetJWKSFetcherStrategy(context.Context) fosite.JWKSFetcherStrategy { return nil }
func (c *configurator) GetHTTPClient(context.Context) *retryablehttp.Client               { return nil }
func (c *configurator) GetSecretsHasher(context.Context) fosite.Hasher                    { return nil }
func (c *configurator) GetResponseModeHandlerExtension(context.Context) fosite.ResponseModeHandler {
	return nil
}
func (c *configurator) GetTokenIntrospectionHandlers(context.Context) fosite.TokenIntrospectionHandlers {
	return nil
}
func (c *configurator) GetRevocationHandlers(context.Context) fosite.RevocationHandlers { return nil }
func (c *configurator) GetScopeStrategy(context.Context) fosite.ScopeStrategy {
	return fosite.ExactScopeStrategy
}
func (c *configurator) GetAudienceStrategy(context.Context) fosite.AudienceMatchingStrategy {
	return fosite.ExactAudienceMatchingStrategy
}
func (c *configurator) GetRedirectSecureChecker(context.Context) func(context.Context, *url.URL) bool {
	return func(context.Context, *url.URL) bool { return false }
}
func (c *configurator) GetGlobalSecret(context.Context) ([]byte, error)           { return nil, errUnused }
func (c *configurator) GetRotatedGlobalSecrets(context.Context) ([][]byte, error) { return nil, nil }

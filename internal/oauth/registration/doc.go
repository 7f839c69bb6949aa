// Package registration lets applications register themselves: RFC 7591, RFC 7592 and OpenID Connect
// Dynamic Client Registration. It owns the policy (off, with an initial access token, or open with a
// quarantine and limits), initial access tokens (the registration_token table) and what becomes of
// software statements. The rules of metadata and the rows of clients are internal/oauth/client's;
// internal/server/oidc calls it for the endpoints, cmd/signet for initial access tokens.
package registration

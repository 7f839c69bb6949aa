// Package relyingparty holds the tests that ordinary clients make of the provider: go-oidc here,
// openid-client and Authlib in the files beside it.
package relyingparty

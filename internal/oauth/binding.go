package oauth

import "context"

// prove reads what the caller proves about itself beside its client authentication: a DPoP proof or
// a certificate. It runs before the grant is judged.
func (e *Engine) prove(context.Context, *flow) error { return nil }

// bind decides what the tokens of a flow are bound to, once client and grant are known.
func (e *Engine) bind(context.Context, *flow) error { return nil }

// demand checks that whoever presents an access token is its holder (RFC 9449 §7.1, RFC 8705 §3).
func (e *Engine) demand(context.Context, *Call, string, string, *accessInfo) error { return nil }

// checkBinding reads dpop_jkt (RFC 9449 §10).
func checkBinding(context.Context, *authorization) error { return nil }

// checkProfile refuses what the client's profile does not allow.
func checkProfile(context.Context, *authorization) error { return nil }

package oauth

import "context"

// checkDetails reads authorization_details (RFC 9396 §2).
func checkDetails(context.Context, *authorization) error { return nil }

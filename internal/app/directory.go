package app

import (
	"context"
	"strings"

	"signet/internal/identity/account"
	"signet/internal/identity/notice"
	"signet/internal/oauth"
	"signet/internal/platform/id"
)

// directory finds and reaches the people whom applications ask (oauth.Directory).
type directory struct {
	accounts *account.Service
	notices  *notice.Service
}

// Find implements oauth.Directory. An address counts if it is proven: else whoever merely entered
// somebody else's would be asked in their place.
func (d directory) Find(ctx context.Context, hint string) (id.User, error) {
	if strings.Contains(hint, "@") {
		return d.accounts.ByVerifiedEmail(ctx, hint)
	}
	return d.accounts.ByUsername(ctx, hint)
}

// Tell implements oauth.Directory.
func (d directory) Tell(ctx context.Context, user id.User, a oauth.Asking) error {
	return d.notices.Asked(ctx, user, notice.Question{Application: a.Application, Page: a.Page, Expires: a.Expires})
}

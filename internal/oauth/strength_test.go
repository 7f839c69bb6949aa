package oauth

import (
	"testing"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
)

// tokensAs walks the code flow with a sign-in that edit changes.
func (r *rig) tokensAs(c id.Client, edit func(*Login)) *Tokens {
	r.t.Helper()
	l := r.login()
	edit(&l)
	resp, err := r.Issue(r.t.Context(), must(r.ParseAuthorize(r.t.Context(), ask(c))), l)
	check(r.t, err)
	t, err := r.exchange(c, resp.Params.Get("code"))
	check(r.t, err)
	return t
}

func twoFactors(l *Login) { l.ACR, l.AMR = "urn:signet:acr:2fa", []string{"pwd", "otp", "mfa"} }

// Security case TK-40: a client that demands two factors from now on gets nothing more for sign-ins with
// one: no code is redeemed, nothing refreshes, not within the grace window either, and no token opens
// anything here. Sign-ins with two go on.
func TestStrength_DemandedSince(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			shop := r.shop(func(m *client.Metadata) { m.AccessTokenFormat, m.RefreshGrace = format, time.Minute })
			gateway := r.exchanger(nil, shop)
			weak, strong := r.tokensAs(shop, func(*Login) {}), r.tokensAs(shop, twoFactors)
			graced := r.tokensAs(shop, func(*Login) {})
			_, err := r.refresh(shop, graced.RefreshToken)
			check(t, err)
			code := r.code(ask(shop))
			traded, err := r.trade(gateway, weak.AccessToken)
			check(t, err)
			r.edit(shop, func(m *client.Metadata) { m.RequireMFA = true })

			for what, token := range map[string]string{"fresh": weak.RefreshToken, "within the grace window": graced.RefreshToken} {
				_, err = r.refresh(shop, token)
				if e := wantCode(t, err, InvalidGrant); e == nil {
					t.Errorf("%s: refreshed, %s", format, what)
				}
			}
			_, err = r.exchange(shop, code)
			wantCode(t, err, InvalidGrant)
			_, err = r.trade(gateway, weak.AccessToken)
			wantCode(t, err, InvalidRequest)
			if r.active(shop, weak.AccessToken) || r.active(gateway, traded.AccessToken) {
				t.Errorf("%s: an access token is still active", format)
			}
			out, err := r.Introspect(t.Context(), post(basic(string(shop), r.secrets[shop]), values("token", weak.RefreshToken, "token_type_hint", "refresh_token")))
			check(t, err)
			if out.Active {
				t.Errorf("%s: the refresh token is active", format)
			}

			if !r.active(shop, strong.AccessToken) {
				t.Errorf("%s: a token of two factors is not active", format)
			}
			_, err = r.trade(gateway, strong.AccessToken)
			check(t, err)
			_, err = r.refresh(shop, strong.RefreshToken)
			check(t, err)

			// Nothing was revoked for it: it is the demand that stands against them.
			r.edit(shop, func(m *client.Metadata) { m.RequireMFA = false })
			_, err = r.refresh(shop, weak.RefreshToken)
			check(t, err)
		}
	})
}

// The deployment's rule counts likewise at the token endpoint, and takes a browser's word that was
// remembered instead of the second factor. What an assertion gave is not asked of anybody.
func TestStrength_DeploymentDemandsSince(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		shop, bearer := r.shop(nil), r.bearer(nil)
		weak, strong := r.tokensAs(shop, func(*Login) {}), r.tokensAs(shop, twoFactors)
		remembered := r.tokensAs(shop, func(l *Login) { l.Remembered = true })
		code := r.code(ask(shop))
		r.policy.RequireMFA = true

		_, err := r.refresh(shop, weak.RefreshToken)
		wantCode(t, err, InvalidGrant)
		_, err = r.exchange(shop, code)
		wantCode(t, err, InvalidGrant)
		_, err = r.tryCode(ask(shop))
		wantCode(t, err, UnmetRequirements)
		_, err = r.refresh(shop, strong.RefreshToken)
		check(t, err)
		remembered, err = r.refresh(shop, remembered.RefreshToken)
		check(t, err)
		_, err = r.assert(bearer, r.assertion(nil), "scope", "read")
		check(t, err)

		r.edit(shop, func(m *client.Metadata) { m.RequireMFA = true })
		// The application's own demand is met by proof alone.
		_, err = r.refresh(shop, remembered.RefreshToken)
		wantCode(t, err, InvalidGrant)
	})
}

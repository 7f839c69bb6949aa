package oauth

import (
	"slices"

	"signet/internal/oauth/client"
)

// amrTwoFactors is among the methods of a sign-in with two factors (RFC 8176 §2).
const amrTwoFactors = "mfa"

// strongEnough holds a sign-in against the client's registration and the deployment's rule as they are
// now: the request, or the grant, may be older. Only the deployment takes a remembered browser's word.
func (e *Engine) strongEnough(c *client.Client, l Login) bool {
	return demandMet(c, l.AMR) && (!e.policy.RequireMFA || l.Remembered || slices.Contains(l.AMR, amrTwoFactors))
}

// demandMet is the client's part of it.
func demandMet(c *client.Client, amr []string) bool {
	return !c.Metadata.RequireMFA || slices.Contains(amr, amrTwoFactors)
}

func unmet() *Error {
	return refuse(UnmetRequirements, "The sign-in does not reach what the application demands.")
}

// signIn is the sign-in that a grant was made in, as far as it can be judged.
func (g *grantRow) signIn() Login {
	return Login{User: g.User, Session: g.Session, AuthTime: g.AuthTime, ACR: g.ACR, AMR: g.AMR, Remembered: g.Params.Remembered}
}

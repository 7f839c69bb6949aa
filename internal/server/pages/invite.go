package pages

import (
	"net/http"

	"signet/internal/identity/account"
	"signet/internal/platform/errs"
	"signet/internal/server"
)

// cookieInvitation holds the token of an invitation that was accepted here, until an account is made
// with it.
const cookieInvitation = "signet_invitation"

const invitationKept = 24 * 60 * 60 // seconds; the link can be opened again

var inviteFrames = map[string]string{}

func (p *Pages) inviteRoutes() []server.Route { return nil }

// inviteLanding is the page behind an invitation link.
func (p *Pages) inviteLanding(w http.ResponseWriter, r *http.Request, token string) error {
	inv, err := p.d.Accounts.Invitation(r.Context(), token)
	if err != nil {
		return err
	}
	loc := p.texts.of(r, nil)
	if p.signUps.Mode == account.Closed {
		return p.turnedAway(w, r, loc, account.KeySignUpClosed, "/login")
	}
	return p.render(w, http.StatusOK, "landing", p.inviteView(r, loc, inv))
}

func (p *Pages) inviteView(r *http.Request, loc *locale, inv account.Invitation) *view {
	v := p.view(r, loc, "invite.title")
	v.Path = "/m"
	data := landingData{Text: []string{loc.T("invite.text", "Service", p.d.Name)}, Submit: loc.T("invite.submit")}
	if inv.Email != "" {
		data.Text = append(data.Text, loc.T("invite.only_for", "Email", inv.Email))
	}
	v.Data = data
	return v
}

// inviteAccepted takes the invitation along to the sign-up form. It is used up by the account.
func (p *Pages) inviteAccepted(w http.ResponseWriter, r *http.Request, token string) error {
	if _, err := p.d.Accounts.Invitation(r.Context(), token); err != nil {
		return err
	}
	linkDone(w, r)
	setCookie(w, r, cookieInvitation, token, invitationKept)
	return seeOther(w, "/signup")
}

// invitation returns the invitation that was accepted in this browser, the zero one if it is worth
// nothing any more, with its token; "" if there was none.
func (p *Pages) invitation(r *http.Request) (inv account.Invitation, token string, err error) {
	if token = readCookie(r, cookieInvitation); token == "" {
		return account.Invitation{}, "", nil
	}
	inv, err = p.d.Accounts.Invitation(r.Context(), token)
	if errs.Is(err, errs.NotFound) {
		return account.Invitation{}, token, nil
	}
	return inv, token, err
}

// invitationUsed forgets the invitation in this browser.
func invitationUsed(w http.ResponseWriter, r *http.Request) {
	if readCookie(r, cookieInvitation) != "" {
		setCookie(w, r, cookieInvitation, "", -1)
	}
}

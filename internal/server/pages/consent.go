package pages

import (
	"net/http"
	"slices"
	"strings"

	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/server"
	"signet/internal/signin"
)

// permission is a scope in plain words.
type permission struct{ Title, Detail string }

func (p *Pages) consentForm(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Consent)
	if v == nil || err != nil {
		return err
	}
	if v.client == nil {
		return errs.New(errs.NotFound, "error.client", nil)
	}
	apis, err := p.d.Clients.APIs(r.Context())
	if err != nil {
		return err
	}
	page := p.page(r, v, "consent.title")
	asked, granted := v.owed.Scopes, without(v.j.Request.ConsentScopes(), v.owed.Scopes)
	resources, held := v.owed.Resources, without(v.j.Request.Resources, v.owed.Resources)
	if len(asked)+len(resources) == 0 { // prompt=consent: asked again for what is granted
		asked, granted, resources, held = granted, nil, held, nil
	}
	page.Data = consentData{
		New:     append(p.permissions(v, apis, asked), resourceNames(v.loc, apis, resources)...),
		Old:     append(p.permissions(v, apis, granted), resourceNames(v.loc, apis, held)...),
		Details: detailsInWords(p.d.Engine.Details(v.j.Request)),
		Seen:    seenConsent(v), Login: journeyPath(v.j.ID, "login"), Who: personOf(*v.owed.Account),
		Origin: p.originOf(v.loc, v.client),
	}
	return p.render(w, http.StatusOK, "consent", page)
}

// consentData is what the consent page shows.
type consentData struct {
	New, Old    []permission
	Details     []detailWords
	Seen, Login string
	Who         person
	Origin      origin
}

// origin says who made an application, as far as anybody here knows.
type origin struct {
	Text    string
	Warning bool // nobody here knows
}

// originOf is the sentence about who vouches for the application. Who registered itself, or is a
// document somewhere, calls itself what it likes: then the sentence names the host, which it cannot
// choose (RFC 7591 §5).
func (p *Pages) originOf(loc *locale, c *client.Client) origin {
	switch {
	case c.ManagedBy == client.ManagedByDocument:
		return origin{loc.T("consent.document", "Site", c.DocumentHost(), "Here", p.host), true}
	case c.Metadata.Quarantined:
		return origin{loc.T("consent.unverified", "Here", p.host), true}
	case c.ManagedBy == client.ManagedByItself:
		return origin{Text: loc.T("consent.let_in", "Host", p.host)}
	}
	return origin{Text: loc.T("consent.made_by", "Host", p.host)}
}

// consentAnswer takes a yes or a no, nothing else: who allows what to whom comes from the
// journey and the session, never from the form.
func (p *Pages) consentAnswer(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Consent)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	switch {
	case form.Get("answer") == "deny":
		return p.deny(w, r, v)
	case form.Get("answer") != "allow", form.Get("seen") != seenConsent(v):
		// What is asked, or who is asked, is not what the page showed: show it again.
		return seeOther(w, journeyPath(v.j.ID, ""))
	}
	if err := p.d.Journeys.Approve(r.Context(), v.j, v.sess); err != nil {
		return p.overtaken(w, v, err)
	}
	return p.proceed(w, r, v)
}

// seenConsent stands for what the page showed to whom; like seenSession it has no authority.
func seenConsent(v *visit) string {
	parts := slices.Concat([]string{"consent", string(v.sess.ID)}, v.owed.Scopes, []string{""}, v.owed.Resources,
		[]string{"", string(v.j.Request.Details)})
	return id.Digest(strings.Join(parts, "\x00"))
}

// permissions puts scopes into words. The standard ones have sentences of ours, with the value
// that would be shared; those of APIs have the words of whoever registered the API.
func (p *Pages) permissions(v *visit, apis *client.APIs, scopes []string) []permission {
	var out []permission
	a := v.owed.Account
	for _, scope := range scopes {
		one := permission{}
		switch scope {
		case "openid":
			one = permission{v.loc.T("scope.openid"), v.loc.T("scope.openid.detail")}
		case "profile":
			one = permission{v.loc.T("scope.profile"), v.loc.T("scope.profile.detail")}
		case "email":
			one = permission{v.loc.T("scope.email"), orNothing(v.loc, a.Email)}
		case "phone":
			one = permission{v.loc.T("scope.phone"), orNothing(v.loc, a.Profile.PhoneNumber)}
		case "address":
			text := ""
			if ad := a.Profile.Address; ad != nil {
				text = strings.Join(present(ad.StreetAddress, ad.PostalCode, ad.Locality, ad.Region, ad.Country), ", ")
			}
			one = permission{v.loc.T("scope.address"), orNothing(v.loc, text)}
		case "offline_access":
			one = permission{v.loc.T("scope.offline_access"), v.loc.T("scope.offline_access.detail")}
		default:
			one = apiScope(v.loc, apis, scope)
		}
		out = append(out, one)
	}
	return out
}

func apiScope(loc *locale, apis *client.APIs, scope string) permission {
	api, ok := apis.OfScope(scope)
	if !ok {
		return permission{Title: loc.T("scope.other", "Scope", scope)}
	}
	return permission{Title: loc.T("scope.api", "API", api.Name, "Scope", scope), Detail: api.Scopes[scope]}
}

func resourceNames(loc *locale, apis *client.APIs, resources []string) []permission {
	var out []permission
	for _, r := range resources {
		name := r
		if api, ok := apis.ByAudience(r); ok && api.Name != "" {
			name = api.Name
		}
		out = append(out, permission{Title: loc.T("scope.resource", "API", name), Detail: r})
	}
	return out
}

func orNothing(loc *locale, s string) string {
	if s == "" {
		return loc.T("scope.nothing_yet")
	}
	return s
}

func present(parts ...string) []string {
	return slices.DeleteFunc(parts, func(s string) bool { return s == "" })
}

func without(list, drop []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(drop, s) })
}

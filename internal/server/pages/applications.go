package pages

import (
	"net/http"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
	"signet/internal/server"
)

func (p *Pages) applicationList(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	list, err := p.d.Engine.Applications(r.Context(), m.account.ID)
	if err != nil {
		return err
	}
	apis, err := p.d.Clients.APIs(r.Context())
	if err != nil {
		return err
	}
	type row struct {
		Client        id.Client
		Name          string
		Scopes        []string
		Granted, Used instant
	}
	data := struct{ Applications []row }{}
	for _, a := range list {
		name := a.Name
		if name == "" {
			name = string(a.Client)
		}
		data.Applications = append(data.Applications, row{
			Client: a.Client, Name: name, Scopes: scopeTitles(m.loc, apis, a.Scopes),
			Granted: m.loc.instant(a.GrantedAt), Used: m.loc.instant(a.LastUsedAt),
		})
	}
	v := p.accountView(r, m, "applications.title")
	v.Data = data
	return p.render(w, http.StatusOK, "applications", v)
}

// standardScopes have sentences of ours.
var standardScopes = map[string]string{
	"openid": "scope.openid", "profile": "scope.profile", "email": "scope.email", "phone": "scope.phone",
	"address": "scope.address", "offline_access": "scope.offline_access",
}

func scopeTitles(loc *locale, apis *client.APIs, scopes []string) []string {
	var out []string
	for _, s := range scopes {
		if key := standardScopes[s]; key != "" {
			out = append(out, loc.T(key))
			continue
		}
		out = append(out, apiScope(loc, apis, s).Title)
	}
	return out
}

// applicationRevoke takes consent and grants away together.
func (p *Pages) applicationRevoke(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	if err := p.d.Engine.RevokeClient(r.Context(), m.account.ID, id.Client(form.Get("client"))); err != nil {
		return err
	}
	return seeOther(w, "/account/applications?saved=application")
}

package pages

import (
	"net/http"
	"net/url"
	"strconv"

	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/server"
)

const clientLogoPath = "/client-logo"

func (p *Pages) clientLogoRoutes() []server.Route {
	return []server.Route{p.get(clientLogoPath, p.clientLogo)}
}

// logoPath is where our copy of an application's logo is. Another logo_uri is another address, so
// that browsers do not keep the old picture.
func logoPath(c *client.Client) string {
	return clientLogoPath + "?" + url.Values{"client_id": {string(c.ID)}, "v": {id.Digest(c.Metadata.LogoURI)[:8]}}.Encode()
}

// clientLogo serves our copy of an application's logo (security case RG-03). The first who asks waits
// for it to be made; where there is none, pages show the initial of the name behind it.
func (p *Pages) clientLogo(w http.ResponseWriter, r *http.Request) error {
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	// Anybody may ask here: no document is fetched for it.
	c, err := p.d.Clients.Recorded(r.Context(), id.Client(form.Get("client_id")))
	if err == nil && !c.Active() {
		err = errs.New(errs.NotFound, "", nil)
	}
	if err != nil {
		return err
	}
	logo, err := p.d.Clients.Logo(r.Context(), c)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "image/png")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'")
	h.Set("Cache-Control", "public, max-age=86400")
	h.Set("ETag", logo.ETag)
	if r.Header.Get("If-None-Match") == logo.ETag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Length", strconv.Itoa(len(logo.PNG)))
	_, err = w.Write(logo.PNG)
	return err
}

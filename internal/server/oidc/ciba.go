package oidc

import "net/http"

// pathBackchannel takes backchannel authentication requests (CIBA §7).
const pathBackchannel = "/oauth2/bc-authorize"

// backchannel answers one. Where it comes from is shown to the person who decides.
func (e *Endpoints) backchannel(w http.ResponseWriter, r *http.Request) (any, error) {
	form, err := body(r)
	if err != nil {
		return nil, err
	}
	return some(e.engine.Backchannel(sourced(r), e.call(w, r, form)))
}

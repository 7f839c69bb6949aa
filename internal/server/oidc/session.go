package oidc

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"

	"signet/internal/server"
)

// The frame of OIDC Session Management §3.2 and its script: the same for everybody, so documents. All
// that the frame does, it does in the browser.
const (
	pathSession       = "/oauth2/session"
	pathSessionScript = "/oauth2/session.js"
)

//go:embed checksession.js
var sessionScript []byte

const sessionHTML = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Session</title><script src="` + pathSessionScript + `"></script></head><body></body></html>
`

// sessionPolicy: the frame runs its script, does nothing else, and stands in the page of any
// application.
const sessionPolicy = "default-src 'none'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors *"

func (e *Endpoints) logoutRoutes() []server.Route {
	if !e.engine.Policy().SessionManagement {
		return nil
	}
	return []server.Route{documented(pathSession, e.sessionFrame), documented(pathSessionScript, e.sessionScript)}
}

var (
	frameDocument, scriptDocument = tagged([]byte(sessionHTML)), tagged(sessionScript)

	contentHTML   = []string{"text/html; charset=utf-8"}
	contentScript = []string{"text/javascript; charset=utf-8"}
)

// tagged is a body with its entity tag.
func tagged(body []byte) document {
	sum := sha256.Sum256(body)
	return document{body, []string{`"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}}
}

func (e *Endpoints) sessionFrame(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Del("X-Frame-Options") // it is there to be framed
	h.Set("Content-Security-Policy", sessionPolicy)
	return serve(w, r, frameDocument.body, frameDocument.etag, contentHTML)
}

func (e *Endpoints) sessionScript(w http.ResponseWriter, r *http.Request) error {
	return serve(w, r, scriptDocument.body, scriptDocument.etag, contentScript)
}

package oidc

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"signet/internal/oauth/registration"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/ratelimit"
	"signet/internal/server"
)

// registering is the registration endpoints behind the real door, open to anybody.
func registering(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, nil)
	now := clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	svc := must(registration.New(registration.Deps{
		DB: r.db, Clock: now, Clients: r.clients, Issuer: issuer, Audit: must(audit.New(audit.Deps{DB: r.db, Clock: now})),
		Limits:    must(ratelimit.New(ratelimit.Deps{DB: r.db, Clock: now, Key: slices.Repeat([]byte{7}, 32)})),
		EnsureAlg: func(context.Context, string) error { return nil },
		Policy:    registration.Policy{Mode: registration.Open, PerNetwork: 1000, MaxClients: 1000},
	}))
	e := &Endpoints{registration: svc}
	r.handler = must(server.New(server.Deps{Issuer: issuer, Log: slog.New(slog.DiscardHandler)}, e.registrationRoutes()))
	return r
}

func (r *rig) send(method, path, contentType, body string, header ...string) *http.Response {
	r.t.Helper()
	req := httptest.NewRequest(method, issuer+path, strings.NewReader(body))
	req.Host = "id.test"
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	return w.Result()
}

const registrationBody = `{"redirect_uris":["https://rp.test/cb"]}`

// What the door of the endpoints refuses (RFC 7591 §3.1, security cases TK-18, TK-19).
func TestRegistration_Door(t *testing.T) {
	t.Parallel()
	r := registering(t)
	for name, c := range map[string]struct {
		resp   *http.Response
		status int
	}{
		"a form":              {r.send("POST", registration.Path, "application/x-www-form-urlencoded", "redirect_uris=x"), 415},
		"no type":             {r.send("POST", registration.Path, "", registrationBody), 415},
		"another charset":     {r.send("POST", registration.Path, "application/json; charset=utf-16", registrationBody), 415},
		"too long":            {r.send("POST", registration.Path, "application/json", `{"a":"`+strings.Repeat("a", maxMetadata)+`"}`), 413},
		"a query":             {r.send("POST", registration.Path+"?token=x", "application/json", registrationBody), 400},
		"two tokens":          {r.send("POST", registration.Path, "application/json", registrationBody, "Authorization", "Bearer a", "Authorization", "Bearer b"), 400},
		"half a token":        {r.send("POST", registration.Path, "application/json", registrationBody, "Authorization", "Bearer"), 400},
		"a wrong token":       {r.send("POST", registration.Path, "application/json", registrationBody, "Authorization", "Bearer abc"), 401},
		"GET":                 {r.send("GET", registration.Path, "", ""), 405},
		"PATCH":               {r.send("PATCH", registration.Path+"/x", "application/json", "{}"), 405},
		"nobody's client":     {r.send("GET", registration.Path+"/x", "", ""), 401},
		"nothing":             {r.send("POST", registration.Path, "application/json", ""), 400},
		"no JSON":             {r.send("POST", registration.Path, "application/json", "{"), 400},
		"invalid UTF-8":       {r.send("POST", registration.Path, "application/json", "{\"client_name\":\"\xff\"}"), 400},
		"fine":                {r.send("POST", registration.Path, "application/json; charset=UTF-8", registrationBody), 201},
		"fine, another login": {r.send("POST", registration.Path, "application/json", registrationBody, "Authorization", "Basic eDp5"), 201},
	} {
		if c.resp.StatusCode != c.status {
			t.Errorf("%s: %d, want %d", name, c.resp.StatusCode, c.status)
		}
		if c.status >= 400 && c.status != 405 {
			if got := c.resp.Header.Get("Content-Type"); got != "application/json" || c.resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %v", name, c.resp.Header)
			}
		}
		if c.status == 401 && !strings.HasPrefix(c.resp.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: %v", name, c.resp.Header)
		}
	}
}

// RFC 7591 §5: a cookie lets nobody in and pages of any origin may register, without one.
func TestRegistration_CORS(t *testing.T) {
	t.Parallel()
	r := registering(t)
	for _, resp := range []*http.Response{
		r.send("OPTIONS", registration.Path, "", "", "Origin", "https://spa.test", "Access-Control-Request-Method", "POST"),
		r.send("OPTIONS", registration.Path+"/c", "", "", "Origin", "https://spa.test", "Access-Control-Request-Method", "PUT"),
		r.send("POST", registration.Path, "application/json", registrationBody, "Origin", "https://spa.test"),
		r.send("POST", registration.Path, "application/json", "{}", "Origin", "https://spa.test"),
	} {
		if resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%d %v", resp.StatusCode, resp.Header)
		}
	}
}

// No body whatever gets a 500, and what is not refused is a client.
func FuzzRegistration(f *testing.F) {
	for _, text := range []string{registrationBody, `{"grant_types":[]}`, `[`, `{"jwks":{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]},"redirect_uris":["https://a.test/"]}`, "\xff"} {
		f.Add(text, "Bearer x")
	}
	f.Fuzz(func(t *testing.T, body, authorization string) {
		r := registering(t)
		if strings.ContainsAny(authorization, "\r\n") {
			return
		}
		resp := r.send("POST", registration.Path, "application/json", body, "Authorization", authorization)
		switch resp.StatusCode {
		case http.StatusCreated, http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge:
		default:
			t.Fatalf("%d", resp.StatusCode)
		}
		var answer map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		if (resp.StatusCode == http.StatusCreated) != (answer["client_id"] != nil) {
			t.Fatalf("%d %v", resp.StatusCode, answer)
		}
	})
}

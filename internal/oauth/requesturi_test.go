package oauth

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
)

// shelf is an application's server that has one request object.
type shelf struct {
	asked    atomic.Int64
	last     atomic.Value
	stranger atomic.Bool
	text     string
	err      error
}

func (s *shelf) Get(ctx context.Context, address string, kind fetch.Kind) (fetch.Document, error) {
	s.asked.Add(1)
	s.stranger.Store(fetch.IsStranger(ctx))
	s.last.Store(address)
	return fetch.Document{Body: []byte(s.text)}, s.err
}

const objectURI = "https://rp.test/objects/1"

func byReference(c id.Client, uri string, pairs ...string) url.Values {
	return values(append([]string{"client_id", string(c), "response_type", "code", "scope", "openid", "request_uri", uri}, pairs...)...)
}

// TestRequestURI_OfStrangers: what a client that nobody approved names is read as a stranger's.
func TestRequestURI_OfStrangers(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	s := &shelf{err: errors.New("slow")}
	r.fetch, r.policy.RequestURIs = s, true
	for _, quarantined := range []bool{true, false} {
		c := r.newClient(client.Web, func(m *client.Metadata) {
			m.RequestURIs, m.Quarantined, m.FirstParty = []string{objectURI}, quarantined, false
		})
		_, err := r.ParseAuthorize(t.Context(), byReference(c, objectURI))
		wantCode(t, err, InvalidRequestURI)
		if s.stranger.Load() != quarantined {
			t.Errorf("quarantined %v: read as a stranger's: %v", quarantined, s.stranger.Load())
		}
	}
}

// TestRequestURI: fetched from where the client registered, without the fragment, and processed like one by
// value (OIDC Core §6.2, RFC 9101 §5.2; oidcc-request-uri-signed-rs256, oidcc-request-uri-unsigned).
func TestRequestURI(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	s := &shelf{}
	r.fetch, r.policy.RequestURIs = s, true
	k := newClientKey(t)
	// The suite registers a hash before it knows the content, so the fragment need not match.
	c := r.signing(k, func(m *client.Metadata) { m.RequestURIs = []string{objectURI + "#" + id.Digest("not yet known")} })
	s.text = k.requestObject(t, r.objectClaims(c, set("state", "inner"))) + "\n"
	for _, uri := range []string{objectURI, objectURI + "#" + id.Digest("not yet known"), objectURI + "#v2"} {
		req, err := r.ParseAuthorize(t.Context(), byReference(c, uri, "state", "outer"))
		if err != nil || req.State != "inner" {
			t.Errorf("%s: %+v, %v", uri, req, err)
		}
	}
	if n := s.asked.Load(); n != 3 || s.last.Load() != objectURI {
		t.Errorf("asked %d times, last %v", n, s.last.Load())
	}
	// A hash that names the content is worth keeping it by, for a while.
	named := objectURI + "#" + id.Digest(s.text)
	for range 3 {
		_, err := r.ParseAuthorize(t.Context(), byReference(c, named))
		check(t, err)
	}
	if n := s.asked.Load(); n != 4 {
		t.Errorf("asked %d times, want 4", n)
	}
	r.clock.Advance(referenceLife)
	s.text = k.requestObject(t, r.objectClaims(c, nil))
	_, err := r.ParseAuthorize(t.Context(), byReference(c, named))
	check(t, err)
	if n := s.asked.Load(); n != 5 {
		t.Errorf("asked %d times after its time, want 5", n)
	}
	r.policy.RequestObjects = "unsigned"
	s.text = unsecured(r.objectClaims(c, nil))
	_, err = r.ParseAuthorize(t.Context(), byReference(c, objectURI))
	check(t, err)
	r.policy.RequestObjects = "signed"
	_, err = r.ParseAuthorize(t.Context(), byReference(c, objectURI, "redirect_uri", testRedirect))
	wantCode(t, err, RequestURINotSupported)
}

// TestRequestURI_Refused is security case AZ-25: nothing is fetched that the client did not register.
func TestRequestURI_Refused(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	s := &shelf{}
	r.fetch, r.policy.RequestURIs = s, true
	k := newClientKey(t)
	c := r.signing(k, func(m *client.Metadata) { m.RequestURIs = []string{objectURI} })
	none := r.signing(k, nil)
	s.text = k.requestObject(t, r.objectClaims(c, nil))
	for _, uri := range []string{
		"http://rp.test/objects/1", "file:///etc/passwd", "gopher://127.0.0.1:6379/_x", "https://169.254.169.254/latest", "https://rp.test/objects/2",
		objectURI + "?x=1", objectURI + "/", "HTTPS://rp.test/objects/1", "https://rp.test@evil.test/objects/1", "", "urn:example:1", "//rp.test/objects/1",
		objectURI + "#" + strings.Repeat("f", 512),
	} {
		form := byReference(c, uri, "redirect_uri", testRedirect, "state", "st")
		form.Set("request_uri", uri)
		_, err := r.ParseAuthorize(t.Context(), form)
		if e := wantCode(t, err, InvalidRequestURI); e == nil || e.Redirect == nil || e.Redirect.RedirectURI != testRedirect {
			t.Errorf("%q: %v", uri, err)
		}
	}
	_, err := r.ParseAuthorize(t.Context(), byReference(none, objectURI))
	if e := wantCode(t, err, InvalidRequestURI); e.Redirect != nil {
		t.Error("a redirect to nowhere")
	}
	for _, off := range []Policy{{}, {RequestURIs: true, RequestObjects: "off"}} {
		r.policy = off
		_, err = r.ParseAuthorize(t.Context(), byReference(c, objectURI, "redirect_uri", testRedirect))
		wantCode(t, err, RequestURINotSupported)
	}
	if n := s.asked.Load(); n != 0 {
		t.Errorf("%d requests went out", n)
	}
	r.policy = Policy{RequestURIs: true}
	for _, tc := range []struct {
		text string
		err  error
		code string
	}{
		{"", errs.New(errs.Unavailable, "", errors.New("closed")), InvalidRequestURI},
		{strings.Repeat("a", maxObject+1), nil, InvalidRequestURI},
		{"", nil, InvalidRequestObject},
		{"<html>", nil, InvalidRequestObject},
		{newClientKey(t).requestObject(t, r.objectClaims(c, nil)), nil, InvalidRequestObject},
	} {
		s.text, s.err = tc.text, tc.err
		_, err := r.ParseAuthorize(t.Context(), byReference(c, objectURI, "redirect_uri", testRedirect))
		wantCode(t, err, tc.code)
	}
}

// TestRequestURI_NeedsAFetcher: a missing dependency is an error at start.
func TestRequestURI_NeedsAFetcher(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	d := Deps{
		DB: r.db, Clock: r.clock, Issuer: testIssuer, Keys: r.keys, Clients: r.clients, Consents: r.consents, Subjects: r.people, Audit: r.audit,
		Seal: r.seal, Log: r.log, Policy: Policy{RequestURIs: true},
	}
	if _, err := New(d); err == nil {
		t.Error("no error")
	}
	d.Fetch = &shelf{}
	if _, err := New(d); err != nil {
		t.Error(err)
	}
}

// TestReferences_Bounded: remembering has an end.
func TestReferences_Bounded(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	var m references
	for range 3 * maxReferences {
		m.keep(id.New(), "x", r.clock.Now())
	}
	if len(m.kept) != maxReferences {
		t.Errorf("%d are kept", len(m.kept))
	}
}

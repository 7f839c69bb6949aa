package server

import (
	"mime"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
)

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
	http.MethodDelete, http.MethodOptions,
}

// doorChecks run on every request in this order, before the path is looked up.
var doorChecks = []func(s *Server, w http.ResponseWriter, r *http.Request) error{
	checkMethod, checkURL, checkHost, checkPath, checkScheme,
}

// routeChecks run in this order once the route is known, before its handler.
var routeChecks = []func(s *Server, route *Route, w http.ResponseWriter, r *http.Request) error{
	checkAlias, checkFraming, limitBody, dropCookies, checkOrigin,
}

// checkMethod refuses TRACE, CONNECT and made-up methods; there are no override headers.
func checkMethod(_ *Server, _ http.ResponseWriter, r *http.Request) error {
	if !slices.Contains(methods, r.Method) {
		return refuse(http.StatusNotImplemented, "this method is not supported")
	}
	return nil
}

func checkURL(_ *Server, _ http.ResponseWriter, r *http.Request) error {
	if len(r.RequestURI) > MaxURLBytes {
		return refuse(http.StatusRequestURITooLong, "the address is too long")
	}
	return nil
}

// checkHost refuses requests for another host (RFC 9110 §15.5.20): links, cookies and origin
// checks all assume the issuer's, and a foreign name here is an attack or a proxy's mistake.
func checkHost(s *Server, _ http.ResponseWriter, r *http.Request) error {
	if s.origin == nil || sameHost(r.Host, s.origin.Host, s.origin.Scheme) || s.onAlias(r) {
		return nil
	}
	return refuse(http.StatusMisdirectedRequest, "this server answers only for "+s.deps.Issuer)
}

func (s *Server) onAlias(r *http.Request) bool {
	return s.alias != nil && sameHost(r.Host, s.alias.Host, s.alias.Scheme)
}

// checkAlias keeps everything but protocol endpoints off the alias: pages would have no cookies
// there, and discovery under another name would be another issuer.
func checkAlias(s *Server, route *Route, _ http.ResponseWriter, r *http.Request) error {
	if !s.onAlias(r) || sameHost(s.alias.Host, s.origin.Host, s.origin.Scheme) || route.Area == Protocol && !route.Document {
		return nil
	}
	return refuse(http.StatusMisdirectedRequest, "this server answers that only for "+s.deps.Issuer)
}

func sameHost(got, want, scheme string) bool {
	return strings.EqualFold(got, want) || strings.EqualFold(withoutPort(got, scheme), withoutPort(want, scheme))
}

// withoutPort drops the scheme's default port, which clients may send or leave out.
func withoutPort(host, scheme string) string {
	name, port, err := net.SplitHostPort(host)
	if err != nil || (scheme != "https" || port != "443") && (scheme != "http" || port != "80") {
		return host
	}
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}

// checkPath lets only canonical paths through, so that no guard and no handler can read one
// path in two ways: no dot segments, double slashes, needless percent-encoding, no slash or
// NUL in encoded form, no path parameters.
func checkPath(_ *Server, _ http.ResponseWriter, r *http.Request) error {
	p := r.URL.Path
	if r.URL.RawPath != "" || path.Clean(p) != p || strings.ContainsAny(p, ";\\\x00") || !text(p) {
		return refuse(http.StatusNotFound, "there is nothing at this address")
	}
	return nil
}

// checkScheme acts when a trusted proxy says that the client spoke plain http to an https
// issuer. A person who typed the address is sent on; anything else has already shown its
// secrets to the network and must learn that, so it is refused, never redirected.
func checkScheme(s *Server, w http.ResponseWriter, r *http.Request) error {
	if !s.secure() || !infoOf(r.Context()).plain {
		return nil
	}
	if r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Location", s.deps.Issuer+r.URL.RequestURI())
		return refuse(http.StatusPermanentRedirect, "this server is reached over https only")
	}
	return refuse(http.StatusForbidden, "this server is reached over https only")
}

// checkFraming refuses bodies that a decoder would have to unpack first: compressed ones (a
// bomb costs us, not the sender) and multipart, which no route needs.
func checkFraming(_ *Server, _ *Route, _ http.ResponseWriter, r *http.Request) error {
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return refuse(http.StatusUnsupportedMediaType, "an encoded request body is not accepted")
	}
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && strings.HasPrefix(t, "multipart/") {
		return refuse(http.StatusUnsupportedMediaType, "a multipart request body is not accepted")
	}
	return nil
}

func limitBody(_ *Server, route *Route, w http.ResponseWriter, r *http.Request) error {
	limit := route.MaxBody
	if limit == 0 {
		limit = DefaultMaxBody
	}
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // do not read the rest just to keep the connection
		return refuse(http.StatusRequestEntityTooLarge, "the request body is too long")
	}
	if r.Body != nil && r.Body != http.NoBody {
		if x, ok := w.(*exchange); ok {
			w = x.ResponseWriter // net/http's own, which MaxBytesReader tells to close the connection
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
	}
	return nil
}

func dropCookies(_ *Server, route *Route, _ http.ResponseWriter, r *http.Request) error {
	if route.Area != Browser {
		r.Header.Del("Cookie")
	}
	return nil
}

var crossOrigin = http.NewCrossOriginProtection()

// checkOrigin is the whole CSRF defence of browser routes, together with SameSite cookies:
// net/http's check, which admits requests with neither header because they cannot come from a
// browser of this decade, and the demand that one of the two is there. Without Sec-Fetch-Site
// the Origin must be ours to the letter; net/http compares only its host.
func checkOrigin(s *Server, route *Route, _ http.ResponseWriter, r *http.Request) error {
	if route.Area != Browser || route.CrossSite || safe(r.Method) {
		return nil
	}
	foreign := refuse(http.StatusForbidden, "this form was not sent from a page of this server")
	if err := crossOrigin.Check(r); err != nil {
		return foreign
	}
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") != s.deps.Issuer {
		return foreign
	}
	return nil
}

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

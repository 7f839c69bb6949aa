package server

import "net/http"

// defaultHeaders are on every answer, errors and panics included (security headers must not
// depend on how a handler ends). A handler may replace a value: pages bring their own CSP,
// rendered-once documents their own Cache-Control.
func defaultHeaders(secure bool) map[Area]http.Header {
	base := func() http.Header {
		h := http.Header{
			"X-Content-Type-Options":       {"nosniff"},
			"X-Frame-Options":              {"DENY"},
			"Cache-Control":                {"no-store"},
			"Cross-Origin-Resource-Policy": {"same-origin"},
			// Our URLs hold journey ids and codes pass through Location: no page of another
			// origin learns where somebody came from. Within our origin the referrer stays,
			// else browsers would send "Origin: null" with our own forms.
			"Referrer-Policy":         {"same-origin"},
			"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"},
		}
		if secure { // RFC 6797 §7.2: never over plain http
			h.Set("Strict-Transport-Security", "max-age=63072000")
		}
		return h
	}
	browser := base()
	browser.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
	browser.Set("Cross-Origin-Opener-Policy", "same-origin")
	browser.Set("Permissions-Policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()")
	return map[Area]http.Header{Protocol: base(), Browser: browser, Management: base()}
}

// setHeaders puts an area's defaults in place of whatever another area's guess left.
func (s *Server) setHeaders(w http.ResponseWriter, a Area) {
	h := w.Header()
	if a != Browser {
		delete(h, "Cross-Origin-Opener-Policy")
		delete(h, "Permissions-Policy")
	}
	for k, v := range s.headers[a] {
		h[k] = v[:1:1] // shared; the capacity makes an Add copy it
	}
}

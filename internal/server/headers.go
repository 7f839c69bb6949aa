package server

import "net/http"

// defaultHeaders are on every answer, errors and panics included (security headers must not
// depend on how a handler ends). A handler may replace a value: pages bring their own CSP,
// rendered-once documents their own Cache-Control.
func defaultHeaders(secure bool) map[Area][]header {
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
	return map[Area][]header{Protocol: list(base()), Browser: list(browser), Management: list(base())}
}

// header is one header line. Its value is shared by all answers: the capacity of one makes an
// Add copy it.
type header struct {
	key   string
	value []string
}

func list(h http.Header) []header {
	var out []header
	for k, v := range h {
		out = append(out, header{k, v[:1:1]})
	}
	return out
}

// setHeaders puts an area's defaults on an answer.
func (s *Server) setHeaders(w http.ResponseWriter, a Area) {
	h := w.Header()
	for _, d := range s.headers[a] {
		h[d.key] = d.value
	}
}

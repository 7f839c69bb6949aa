package client

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

const maxURI = 2048

// uriProblem says what is wrong with uri as a place to send a browser to, or "". custom admits
// private-use schemes (native clients).
func uriProblem(uri string, custom bool) string {
	switch {
	case uri == "":
		return "is empty"
	case len(uri) > maxURI:
		return "is longer than 2048 bytes"
	case strings.ContainsFunc(uri, notURI):
		// Browsers drop tabs and newlines, turn backslashes into slashes and fold full-width
		// letters: such a URI would not go where it seems to.
		return "has a character that may not stand in a URI: write it percent-encoded, host names in ASCII"
	case strings.Contains(uri, "#"):
		return "has a fragment (RFC 6749 §3.1.2)"
	case strings.Contains(uri, "*"):
		return "has a wildcard: redirect URIs are compared byte for byte"
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return "is not a URI"
	case u.Scheme == "":
		return "is not absolute"
	case !strings.HasPrefix(uri, u.Scheme+":"):
		return "has a scheme in capitals: browsers write it small"
	case u.User != nil || strings.Contains(u.Host, "@"):
		return "has a user name before the host"
	case hasDotSegment(u):
		return "has . or .. in the path, which browsers resolve before they follow it"
	}
	switch u.Scheme {
	case "https":
		return hostProblem(u)
	case "http":
		if p := hostProblem(u); p != "" {
			return p
		}
		if !slices.Contains(loopbackHosts, hostOf(u)) {
			return "is plain http: only 127.0.0.1, [::1] and localhost may be (RFC 8252 §7.3)"
		}
		return ""
	}
	if !custom {
		return "has the scheme " + u.Scheme + ": only https, or http to this machine; private schemes are for native clients"
	}
	if !strings.Contains(u.Scheme, ".") {
		return "has a private scheme without a dot: use a domain name of yours reversed, like com.example.app (RFC 8252 §7.1)"
	}
	return ""
}

// notURI reports characters outside RFC 3986 §2.
func notURI(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"<>\\^`{|}", r)
}

func hasDotSegment(u *url.URL) bool {
	path := u.EscapedPath() + u.Opaque
	for _, enc := range []string{"%2e", "%2E"} {
		path = strings.ReplaceAll(path, enc, ".")
	}
	for s := range strings.SplitSeq(path, "/") {
		if s == "." || s == ".." {
			return true
		}
	}
	return false
}

// hostOf is the host as written, without the port.
func hostOf(u *url.URL) string {
	if h := u.Hostname(); strings.Contains(h, ":") {
		return "[" + h + "]"
	}
	return u.Hostname()
}

// hostProblem wants the one spelling that browsers keep: lower case, no trailing dot, addresses
// in their canonical form, a port that is a number.
func hostProblem(u *url.URL) string {
	host := u.Hostname()
	switch {
	case u.Opaque != "" || host == "":
		return "has no host"
	case strings.HasSuffix(u.Host, ":"):
		return "has an empty port"
	case u.Port() != "" && portLen(u.Port()) != len(u.Port()):
		return "has a port that is not a number from 1 to 65535"
	case strings.ContainsAny(u.Host, "%"):
		return "has a percent sign in the host"
	case host != strings.ToLower(host):
		return "has a host in capitals: browsers write it small"
	case strings.HasSuffix(host, "."):
		return "has a host that ends in a dot"
	}
	if strings.HasPrefix(u.Host, "[") {
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() || a.String() != host {
			return "has an IPv6 address that is not in its canonical form"
		}
		return ""
	}
	return nameProblem(host)
}

// nameProblem checks a host name label by label. A last label that is a number makes browsers
// read the whole name as an IPv4 address in some old notation.
func nameProblem(host string) string {
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if l == "" || strings.ContainsFunc(l, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return "has a host that is not a host name"
		}
	}
	last := labels[len(labels)-1]
	numeric := strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x")
	if a, err := netip.ParseAddr(host); numeric && (err != nil || a.String() != host) {
		return "has an address that is not in its canonical form"
	}
	return ""
}

// originOf returns the web origin of an http or https URI, or "" (RFC 6454 §4: default ports
// are left out).
func originOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" {
		return ""
	}
	host := u.Host
	switch u.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		return ""
	}
	return u.Scheme + "://" + host
}

// frameable reports whether a Content-Security-Policy can name the origin of an address, so that a page
// may show it in a frame and no other. host-char is a letter, a digit or a dash (CSP Level 3 §2.3.1): the
// grammar has no underscore and no IPv6 address.
func frameable(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return false
	}
	for label := range strings.SplitSeq(u.Hostname(), ".") {
		if label == "" || strings.ContainsFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
		}) {
			return false
		}
	}
	return true
}

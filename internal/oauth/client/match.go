package client

import "strings"

// matchAny applies matchURI to each registered URI.
func matchAny(registered []string, asked string, loopback bool) bool {
	for _, r := range registered {
		if matchURI(r, asked, loopback) {
			return true
		}
	}
	return false
}

// matchURI reports whether asked is the registered URI: the same bytes (RFC 9700 §2.1, §4.1.3).
// Nothing is parsed, decoded or normalised, so there is nothing to disagree about with a browser.
//
// With loopback (native clients), http URIs of this machine may differ in the port, and only
// there: the operating system hands the port out when the application starts (RFC 8252 §7.3).
// localhost counts beside the two literals, because applications that cannot choose use it.
func matchURI(registered, asked string, loopback bool) bool {
	if registered == asked {
		return registered != ""
	}
	if !loopback {
		return false
	}
	host, rest, ok := splitLoopback(registered)
	if !ok {
		return false
	}
	askedHost, askedRest, ok := splitLoopback(asked)
	return ok && host == askedHost && rest == askedRest
}

var loopbackHosts = []string{"127.0.0.1", "[::1]", "localhost"}

// splitLoopback cuts "http://HOST[:PORT]REST" with HOST one of loopbackHosts, letter by letter,
// into HOST and REST. REST is empty or starts with / or ?, so userinfo cannot hide behind the
// host ("http://127.0.0.1:80@evil.example/").
func splitLoopback(uri string) (host, rest string, ok bool) {
	after, found := strings.CutPrefix(uri, "http://")
	if !found {
		return "", "", false
	}
	for _, h := range loopbackHosts {
		rest, found := strings.CutPrefix(after, h)
		if !found {
			continue
		}
		if port, found := strings.CutPrefix(rest, ":"); found {
			n := portLen(port)
			if n == 0 {
				return "", "", false
			}
			rest = port[n:]
		}
		if rest != "" && rest[0] != '/' && rest[0] != '?' {
			return "", "", false
		}
		return h, rest, true
	}
	return "", "", false
}

// portLen returns how many leading bytes of s are a port from 1 to 65535 in its one canonical
// spelling, or 0.
func portLen(s string) int {
	n, value := 0, 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		value = value*10 + int(s[n]-'0')
		n++
		if value > 65535 {
			return 0
		}
	}
	if n == 0 || s[0] == '0' {
		return 0
	}
	return n
}

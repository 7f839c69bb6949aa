package fetch

import (
	"encoding/json"
	"errors"
	"mime"
	"net/netip"
	"net/url"
	"strings"
)

// special are the address blocks that are not the public Internet (IANA special-purpose
// registries, RFC 6890), or that carry an IPv4 address inside and so could lead back to one.
var special = prefixes(
	"0.0.0.0/8",       // this network; 0.0.0.0 reaches the local machine
	"10.0.0.0/8",      // private
	"100.64.0.0/10",   // carrier-grade NAT, also used by clouds inside
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local, cloud metadata
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.31.196.0/24", // AS112
	"192.52.193.0/24", // AMT
	"192.88.99.0/24",  // 6to4 relays
	"192.168.0.0/16",  // private
	"192.175.48.0/24", // AS112
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, broadcast
)

// global6 is the only part of IPv6 that is handed out as public addresses; the rest (loopback,
// mapped, NAT64, unique local, link-local, multicast, unassigned) is refused as a whole.
var (
	global6  = netip.MustParsePrefix("2000::/3")
	special6 = prefixes(
		"2001::/23",     // protocol assignments, with Teredo and ORCHID
		"2001:db8::/32", // documentation
		"2002::/16",     // 6to4: an IPv4 address inside
		"2620:4f:8000::/48",
		"3fff::/20", // documentation
	)
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// Global reports whether a is an address of the public Internet.
func Global(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" || a.Is4In6() {
		return false // an IPv4 address in IPv6 clothes has no business here
	}
	blocks := special
	if a.Is6() {
		if !global6.Contains(a) {
			return false
		}
		blocks = special6
	}
	for _, p := range blocks {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// isJSON accepts application/json and application/…+json (a JWK set is application/jwk-set+json).
func isJSON(contentType string) bool {
	t, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	if cs, ok := params["charset"]; ok && !strings.EqualFold(cs, "utf-8") {
		return false
	}
	return t == "application/json" || strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+json")
}

func checkBody(body []byte) error {
	if len(body) > MaxBody {
		return errors.New("the answer is too large")
	}
	if !json.Valid(body) {
		return errors.New("the answer is not JSON")
	}
	return nil
}

// redact leaves of a URL what may stand in a log: queries can carry secrets.
func redact(address string) string {
	u, err := url.Parse(address)
	if err != nil || len(address) > maxURL {
		return "(unreadable)"
	}
	return u.Scheme + "://" + u.Host + u.Path
}

package server

import (
	"net/http"
	"net/netip"
	"strings"
)

const (
	headerXFF       = "X-Forwarded-For"
	headerForwarded = "Forwarded"
)

// clientOf says who is at the other end: the peer's address, or, as far as trusted proxies
// vouch for it, the address they name. plain is true when a trusted peer says that the client
// spoke http.
//
// The list is walked from the right, because each proxy appends what it saw: the first
// address that is not a trusted proxy's is the client, and everything left of it is only what
// the client claimed. An entry that cannot be read ends the walk at the last known address.
func clientOf(remote string, h http.Header, header string, trusted []netip.Prefix) (client netip.Addr, plain bool) {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}, false
	}
	client = normal(peer.Addr())
	if !contains(trusted, client) {
		return client, false
	}
	hops, proto := xForwarded, lastToken(h.Values("X-Forwarded-Proto"))
	if header == headerForwarded {
		hops, proto = forwarded, forwardedProto(h)
	} else {
		header = headerXFF
	}
	plain = strings.EqualFold(proto, "http")
	list := strings.Split(strings.Join(h.Values(header), ","), ",")
	for i := len(list) - 1; i >= 0 && len(list)-i <= maxHops; i-- {
		next, ok := hops(list[i])
		if !ok {
			return client, plain
		}
		client = next
		if !contains(trusted, client) {
			return client, plain
		}
	}
	return client, plain
}

// fromProxy reports whether the peer itself is a trusted proxy.
func fromProxy(remote string, trusted []netip.Prefix) bool {
	peer, err := netip.ParseAddrPort(remote)
	return err == nil && contains(trusted, normal(peer.Addr()))
}

// maxHops bounds the walk; no real chain of proxies is longer.
const maxHops = 16

func contains(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// normal makes addresses comparable: no IPv4-in-IPv6, no zone.
func normal(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// xForwarded reads one entry of X-Forwarded-For: an address, with or without a port.
func xForwarded(s string) (netip.Addr, bool) { return address(strings.TrimSpace(s)) }

// forwarded reads the for= of one element of Forwarded (RFC 7239 §6). An obfuscated node or
// "unknown" is no address.
func forwarded(s string) (netip.Addr, bool) {
	return address(forwardedParam(s, "for"))
}

// forwardedProto reads the proto= that the nearest proxy wrote (RFC 7239 §5.4).
func forwardedProto(h http.Header) string {
	list := strings.Split(strings.Join(h.Values(headerForwarded), ","), ",")
	return forwardedParam(list[len(list)-1], "proto")
}

func forwardedParam(element, name string) string {
	for pair := range strings.SplitSeq(element, ";") {
		k, v, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if ok && strings.EqualFold(k, name) {
			return strings.Trim(v, `"`)
		}
	}
	return ""
}

func address(s string) (netip.Addr, bool) {
	if p, err := netip.ParseAddrPort(s); err == nil {
		return normal(p.Addr()), true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return normal(a), err == nil
}

func lastToken(values []string) string {
	if len(values) == 0 {
		return ""
	}
	v := values[len(values)-1]
	return strings.TrimSpace(v[strings.LastIndexByte(v, ',')+1:])
}

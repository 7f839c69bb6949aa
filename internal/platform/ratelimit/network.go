package ratelimit

import "net/netip"

// SourceNetwork returns the network that an address counts as: an IPv4 address itself, an IPv6
// address its /64, because one subscriber owns all of it. What is not an address counts as one
// source together.
func SourceNetwork(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return "unknown"
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	return prefix(a, 64)
}

// SiteNetwork returns the /48 of an IPv6 address, or "": whoever is given one has 65,536 networks
// of size /64 and can come from each of them once. An IPv4 site is its address.
func SiteNetwork(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil || a.Unmap().Is4() {
		return ""
	}
	return prefix(a.WithZone(""), 48)
}

func prefix(a netip.Addr, bits int) string {
	p, err := a.Prefix(bits)
	if err != nil {
		return "unknown"
	}
	return p.String()
}

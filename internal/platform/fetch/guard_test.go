package fetch

import (
	"net/netip"
	"testing"
)

// SS-01: what is not the public Internet is not dialed.
func TestGlobal(t *testing.T) {
	t.Parallel()
	for _, a := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.169.254", "169.254.170.2",
		"172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255",
		"198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1",
		"2001::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::1", "3fff::1", "5f00::1", "fc00::1", "fd00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0",
		"fec0::1", "ff02::1", "2606:4700::1%eth0", "4000::1",
	} {
		if Global(netip.MustParseAddr(a)) {
			t.Errorf("%s counts as public", a)
		}
	}
	for _, a := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1", "169.253.255.255",
		"172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
		"2606:4700::1111", "2a00:1450::1", "2001:200::1", "2400::1",
	} {
		if !Global(netip.MustParseAddr(a)) {
			t.Errorf("%s counts as not public", a)
		}
	}
	if Global(netip.Addr{}) {
		t.Error("no address counts as public")
	}
}

// The list agrees with what the standard library knows to be special.
func FuzzGlobal(f *testing.F) {
	for _, s := range []string{"127.0.0.1", "::1", "::ffff:10.0.0.1", "fd00::1", "8.8.8.8", "ff02::1"} {
		b := netip.MustParseAddr(s).As16()
		f.Add(b[:])
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, ok := netip.AddrFromSlice(raw)
		if !ok {
			return
		}
		a = a.Unmap()
		if Global(a) && (a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || !a.IsGlobalUnicast()) {
			t.Errorf("%s counts as public", a)
		}
	})
}

func TestIsJSON(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"application/json": true, "Application/JSON": true, "application/json; charset=utf-8": true, "application/jwk-set+json": true,
		"": false, "text/html": false, "text/json": false, "application/javascript": false, "application/json; charset=utf-7": false,
		"application/octet-stream": false, "json": false, "application/+jsonx": false,
	} {
		if isJSON(s) != want {
			t.Errorf("%q: want %v", s, want)
		}
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	if got := redact("https://user:pw@a.test/j?token=secret#x"); got != "https://a.test/j" {
		t.Errorf("%s", got)
	}
	if got := redact("https://a.test/\x00"); got != "(unreadable)" {
		t.Errorf("%s", got)
	}
}

package server

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestClientOf(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("127.0.0.1/32")}
	for name, tc := range map[string]struct {
		remote, header string
		values         []string
		want           string
	}{
		"no proxy":                             {"203.0.113.9:1", headerXFF, nil, "203.0.113.9"},
		"a stranger's header means nothing":    {"203.0.113.9:1", headerXFF, []string{"198.51.100.1"}, "203.0.113.9"},
		"one proxy":                            {"10.0.0.1:1", headerXFF, []string{"203.0.113.9"}, "203.0.113.9"},
		"the client's own entries are ignored": {"10.0.0.1:1", headerXFF, []string{"1.2.3.4, 203.0.113.9"}, "203.0.113.9"},
		"two proxies":                          {"10.0.0.1:1", headerXFF, []string{"1.2.3.4, 203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		"several lines are one list":           {"10.0.0.1:1", headerXFF, []string{"1.2.3.4", "203.0.113.9", "10.0.0.2"}, "203.0.113.9"},
		"nobody untrusted":                     {"10.0.0.1:1", headerXFF, []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"no header from the proxy":             {"10.0.0.1:1", headerXFF, nil, "10.0.0.1"},
		"garbage ends the walk":                {"10.0.0.1:1", headerXFF, []string{"203.0.113.9, unknown, 10.0.0.2"}, "10.0.0.2"},
		"garbage at once":                      {"10.0.0.1:1", headerXFF, []string{"203.0.113.9, <script>"}, "10.0.0.1"},
		"with a port":                          {"10.0.0.1:1", headerXFF, []string{"203.0.113.9:4711"}, "203.0.113.9"},
		"IPv6":                                 {"[fd00::1]:1", headerXFF, []string{"2001:db8::7"}, "2001:db8::7"},
		"IPv6 with a port":                     {"[fd00::1]:1", headerXFF, []string{"[2001:db8::7]:99"}, "2001:db8::7"},
		"IPv4 in IPv6":                         {"[::ffff:10.0.0.1]:1", headerXFF, []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		"zone":                                 {"[fd00::1%eth0]:1", headerXFF, []string{"203.0.113.9"}, "203.0.113.9"},
		"Forwarded":                            {"10.0.0.1:1", headerForwarded, []string{`for=1.2.3.4, for="203.0.113.9:80";proto=https;by=10.0.0.1`}, "203.0.113.9"},
		"Forwarded IPv6":                       {"10.0.0.1:1", headerForwarded, []string{`For="[2001:db8::7]:4711"`}, "2001:db8::7"},
		"Forwarded hidden":                     {"10.0.0.1:1", headerForwarded, []string{`for=203.0.113.9, for=_hidden`}, "10.0.0.1"},
		"Forwarded without for":                {"10.0.0.1:1", headerForwarded, []string{`proto=https`}, "10.0.0.1"},
	} {
		h := http.Header{}
		for _, v := range tc.values {
			h.Add(tc.header, v)
		}
		// The header that is not configured comes from the client and must not matter.
		for _, other := range []string{headerXFF, headerForwarded} {
			if other != tc.header {
				h.Set(other, "for=6.6.6.6, 6.6.6.6")
			}
		}
		if got, _ := clientOf(tc.remote, h, tc.header, trusted); got.String() != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// FuzzClientOf: whatever the header says, an untrusted peer is the client; behind a trusted one
// the answer is an address, and never one that stands left of the first untrusted entry.
func FuzzClientOf(f *testing.F) {
	f.Add("203.0.113.9, 10.0.0.2", "http")
	f.Add(`for="[2001:db8::1]:80";proto=http, for=_x`, "https, http")
	f.Add(",,,,", "")
	f.Add(strings.Repeat("10.0.0.1,", 300)+"1.1.1.1", "HTTP")
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, list, proto string) {
		for _, header := range []string{headerXFF, headerForwarded} {
			h := http.Header{header: {list}, "X-Forwarded-Proto": {proto}}
			if got, plain := clientOf("203.0.113.1:5", h, header, trusted); got.String() != "203.0.113.1" || plain {
				t.Fatalf("a stranger became %s", got)
			}
			got, _ := clientOf("10.0.0.1:5", h, header, trusted)
			if !got.IsValid() || got.Is4In6() || got.Zone() != "" {
				t.Fatalf("not a plain address: %v", got)
			}
			// What stands left of the client's own address must not change the answer.
			longer := http.Header{header: {"6.6.6.6, for=6.6.6.6," + list}, "X-Forwarded-Proto": {proto}}
			if more, _ := clientOf("10.0.0.1:5", longer, header, trusted); !contains(trusted, got) && more != got {
				t.Fatalf("%q: the client moved from %s to %s", list, got, more)
			}
		}
	})
}

func FuzzForm(f *testing.F) {
	for _, s := range []string{"a=1&b=2", "a=1&a=2", "resource=1&resource=2", "%00=1", "a=%ff", "=", "&&&", "a=b=c", "a+b=c+d", "%", "a;b=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseForm(s, []string{"resource"})
		if err != nil {
			if Status(err) != http.StatusBadRequest {
				t.Fatalf("%v is not a 400", err)
			}
			return
		}
		n := 0
		for name, values := range v {
			n += len(values)
			if len(values) != 1 && name != "resource" {
				t.Fatalf("%q occurs %d times", name, len(values))
			}
			for _, x := range append(values, name) {
				if !text(x) || len(x) > MaxParamValue {
					t.Fatalf("%q was accepted", x)
				}
			}
		}
		if n > MaxParams {
			t.Fatalf("%d parameters", n)
		}
		// What was accepted survives being written and read again.
		again, err := parseForm(v.Encode(), []string{"resource"})
		if err != nil || again.Encode() != v.Encode() {
			t.Fatalf("%q reads as %q", v.Encode(), again.Encode())
		}
	})
}

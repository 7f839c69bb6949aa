package client

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"
)

// TestDN: what is the same name and what is not (RFC 4514).
func TestDN(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"CN=a", "cn=a", "2.5.4.3=a", "OID.2.5.4.3=a", " CN = a ", `CN=\61`, "CN=#0c0161", "CN=#130161"},
		{"CN=a,O=b", "CN=a, O=b", "CN=a ,O=b"},
		{"CN=a+UID=b,O=c", "UID=b+CN=a,O=c"},
		{`CN=a\,b`, `CN=a\2cb`}, {`CN=\ a\ `, `CN=\20a\20`}, {`CN=\#a`, `CN=\23a`}, {`CN=\C4\8D`, "CN=č"},
	} {
		first, err := parseDN(same[0])
		must(t, err)
		for _, s := range same[1:] {
			if got, err := parseDN(s); err != nil || !slices.Equal(got, first) {
				t.Errorf("%q is %q (%v), not %q", s, got, err, first)
			}
		}
	}
	for _, pair := range [][2]string{
		{"CN=a,O=b", "O=b,CN=a"}, {"CN=a", "CN=A"}, {"CN=a+O=b", "CN=a,O=b"}, {"CN=a", "UID=a"}, {`CN=a\,O=b`, "CN=a,O=b"}, {"CN=a", "CN=a,CN=a"}, {`CN=a\20`, "CN=a "},
	} {
		a, err := parseDN(pair[0])
		must(t, err)
		b, err := parseDN(pair[1])
		must(t, err)
		if slices.Equal(a, b) {
			t.Errorf("%q and %q are the same", pair[0], pair[1])
		}
	}
	for _, bad := range []string{"", "CN", "=a", "CN=a,", ",CN=a", "XX=a", "1=a", "01.2=a", `CN=a\`, `CN=a\x`, `CN=\00`, `CN="a"`, "CN=a;O=b", "CN=a\x00", "CN=#zz", "CN=#0c", "CN=#020101", "CN=<", strings.Repeat("CN=a,", 40) + "CN=a", strings.Repeat("a", 4096)} {
		if got, err := parseDN(bad); err == nil {
			t.Errorf("%q is %q", bad, got)
		}
	}
}

// TestSubjectIs_NUL: what keeps attributes apart here is in no value of a certificate, so that one value
// never counts as two attributes.
func TestSubjectIs_NUL(t *testing.T) {
	t.Parallel()
	subject := func(value string) *x509.Certificate {
		raw, err := asn1.Marshal(pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: value}}})
		must(t, err)
		return &x509.Certificate{RawSubject: raw}
	}
	if !SubjectIs(subject("Example"), "O=Example") {
		t.Error("not the same")
	}
	if SubjectIs(subject("Example\x002.5.4.3=shop"), "O=Example+CN=shop") {
		t.Error("one attribute passes for two")
	}
}

// FuzzParseDN: whatever is accepted means the same when a certificate has it.
func FuzzParseDN(f *testing.F) {
	for _, s := range []string{"CN=a,O=b", `CN=a\,b+UID=x`, "2.5.4.3=#0c0161", `CN=\20a\20`, "C=KR , O = x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseDN(s)
		if err != nil {
			return
		}
		for _, rdn := range got {
			for a := range strings.SplitSeq(rdn, "\x00") {
				if oid, _, found := strings.Cut(a, "="); !found || strings.Trim(oid, "0123456789.") != "" || !strings.Contains(oid, ".") {
					t.Fatalf("%q gave %q", s, got)
				}
			}
		}
		var b strings.Builder
		for i := len(got) - 1; i >= 0; i-- { // written back with every byte escaped
			for j, a := range strings.Split(got[i], "\x00") {
				oid, value, _ := strings.Cut(a, "=")
				if b.Len() > 0 && j == 0 {
					b.WriteByte(',')
				} else if j > 0 {
					b.WriteByte('+')
				}
				b.WriteString(oid + "=")
				for k := range len(value) {
					b.WriteString(`\` + string("0123456789abcdef"[value[k]>>4]) + string("0123456789abcdef"[value[k]&15]))
				}
			}
		}
		if b.Len() > maxDN {
			return
		}
		if again, err := parseDN(b.String()); err != nil || !slices.Equal(again, got) {
			t.Fatalf("%q is %q, and written as %q %q (%v)", s, got, b.String(), again, err)
		}
	})
}

// TestTLSNames_AreChecked: exactly one name, and one that can be compared (RFC 8705 §2.1.2).
func TestTLSNames_AreChecked(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit func(m *Metadata)
		ok   bool
	}{
		"subject":       {func(m *Metadata) { m.TLSSubjectDN = "CN=shop,O=Example" }, true},
		"no name":       {func(*Metadata) {}, false},
		"not a subject": {func(m *Metadata) { m.TLSSubjectDN = "shop" }, false},
		"two names":     {func(m *Metadata) { m.TLSSubjectDN, m.TLSSANDNS = "CN=shop", "shop.test" }, false},
		"no address":    {func(m *Metadata) { m.TLSSANIP = "shop.test" }, false},
		"other method":  {func(m *Metadata) { m.AuthMethod, m.TLSSANDNS = SecretBasic, "shop.test" }, false},
		"no key set":    {func(m *Metadata) { m.AuthMethod = SelfSignedTLS }, false},
		"both bindings": {func(m *Metadata) { m.TLSSANDNS, m.CertificateBound, m.DPoPBound = "shop.test", true, true }, false},
	} {
		m := valid(Machine)
		m.AuthMethod = TLS
		tc.edit(&m)
		if err := m.Validate(Machine); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package client

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Distinguished names, in the string form of RFC 4514, brought into one form in which two of them
// can be compared: per RDN its attributes as "oid=value", sorted, in the order of the certificate.
// Values are compared to the letter: an authority that writes a name in two ways is not one to trust
// with names.

var errDN = errors.New("is not a distinguished name in the notation of RFC 4514")

const (
	maxDN   = 2048
	maxRDNs = 32
)

// attributeTypes are the short names of RFC 4514 §3 and those that certificates also use.
var attributeTypes = map[string]string{
	"CN": "2.5.4.3", "L": "2.5.4.7", "ST": "2.5.4.8", "O": "2.5.4.10", "OU": "2.5.4.11", "C": "2.5.4.6", "STREET": "2.5.4.9",
	"DC": "0.9.2342.19200300.100.1.25", "UID": "0.9.2342.19200300.100.1.1",
	"SERIALNUMBER": "2.5.4.5", "SN": "2.5.4.4", "GIVENNAME": "2.5.4.42", "TITLE": "2.5.4.12", "POSTALCODE": "2.5.4.17",
	"ORGANIZATIONIDENTIFIER": "2.5.4.97", "BUSINESSCATEGORY": "2.5.4.15", "EMAILADDRESS": "1.2.840.113549.1.9.1", "E": "1.2.840.113549.1.9.1",
}

// SubjectIs reports whether a certificate's subject is the name (RFC 8705 §2.1.2).
func SubjectIs(cert *x509.Certificate, dn string) bool {
	want, err := parseDN(dn)
	if err != nil {
		return false
	}
	got, err := subjectDN(cert)
	return err == nil && slices.Equal(got, want)
}

// subjectDN reads the subject of a certificate.
func subjectDN(cert *x509.Certificate) ([]string, error) {
	var seq pkix.RDNSequence
	if rest, err := asn1.Unmarshal(cert.RawSubject, &seq); err != nil || len(rest) > 0 {
		return nil, errDN
	}
	var out []string
	for _, set := range seq {
		var rdn []string
		for _, a := range set {
			text, ok := a.Value.(string)
			if !ok || strings.ContainsRune(text, 0) {
				return nil, errDN
			}
			rdn = append(rdn, a.Type.String()+"="+text)
		}
		out = append(out, joinRDN(rdn))
	}
	return out, nil
}

// joinRDN keeps attributes apart with a character that no value of ours has.
func joinRDN(attributes []string) string {
	slices.Sort(attributes)
	return strings.Join(attributes, "\x00")
}

// parseDN reads RFC 4514 §3. The string has the most specific part first, a certificate has it last.
func parseDN(s string) ([]string, error) {
	if s == "" || len(s) > maxDN {
		return nil, errDN
	}
	var out, rdn []string
	for {
		attribute, rest, err := cutAttribute(s)
		if err != nil {
			return nil, err
		}
		rdn = append(rdn, attribute)
		if rest == "" || rest[0] != '+' {
			out, rdn = append(out, joinRDN(rdn)), nil
		}
		if rest == "" {
			slices.Reverse(out)
			return out, nil
		}
		if s = rest[1:]; len(out) > maxRDNs {
			return nil, errDN
		}
	}
}

// cutAttribute reads one "type=value"; rest begins with the separator, or is empty.
func cutAttribute(s string) (attribute, rest string, err error) {
	name, s, found := strings.Cut(s, "=")
	oid, err := attributeType(strings.TrimSpace(name))
	if !found || err != nil {
		return "", "", errDN
	}
	s = strings.TrimLeft(s, " ")
	if strings.HasPrefix(s, "#") {
		return cutHex(oid, s[1:])
	}
	var b strings.Builder
	kept := 0 // length up to the last character that is not an unescaped space
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ',', '+':
			return oid + "=" + b.String()[:kept], s[i:], nil
		case '\\':
			char, n, ok := unescape(s[i+1:])
			if !ok {
				return "", "", errDN
			}
			b.WriteByte(char)
			i, kept = i+n, b.Len()
		case '"', ';', '<', '>', 0:
			return "", "", errDN
		default:
			if b.WriteByte(c); c != ' ' {
				kept = b.Len()
			}
		}
	}
	return oid + "=" + b.String()[:kept], "", nil
}

// unescape reads what stands behind a backslash: a special character, or two hexadecimal digits.
func unescape(s string) (char byte, n int, ok bool) {
	if s == "" {
		return 0, 0, false
	}
	if strings.IndexByte(` "#+,;<=>\`, s[0]) >= 0 {
		return s[0], 1, true
	}
	if len(s) < 2 {
		return 0, 0, false
	}
	raw, err := hex.DecodeString(s[:2])
	if err != nil || raw[0] == 0 {
		return 0, 0, false
	}
	return raw[0], 2, true
}

// cutHex reads a value that is written as the bytes of its encoding (RFC 4514 §2.4).
func cutHex(oid, s string) (attribute, rest string, err error) {
	end := strings.IndexAny(s, ",+")
	if end < 0 {
		end = len(s)
	}
	raw, err := hex.DecodeString(strings.TrimRight(s[:end], " "))
	if err != nil {
		return "", "", errDN
	}
	var text string
	if after, err := asn1.Unmarshal(raw, &text); err != nil || len(after) > 0 || strings.ContainsRune(text, 0) {
		return "", "", errDN
	}
	return oid + "=" + text, s[end:], nil
}

func attributeType(name string) (string, error) {
	if oid, ok := attributeTypes[strings.ToUpper(name)]; ok {
		return oid, nil
	}
	name = strings.TrimPrefix(strings.TrimPrefix(name, "OID."), "oid.")
	parts := strings.Split(name, ".")
	for _, p := range parts {
		if p == "" || strings.Trim(p, "0123456789") != "" || len(p) > 1 && p[0] == '0' {
			return "", fmt.Errorf("%w: unknown attribute type", errDN)
		}
	}
	if len(parts) < 2 {
		return "", errDN
	}
	return name, nil
}

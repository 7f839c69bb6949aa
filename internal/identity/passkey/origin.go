package passkey

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// CheckOrigin says whether browsers would use passkeys of the relying party rpID ("" = the host of
// the issuer) on the pages of issuer, and if not, why and what to do (WebAuthn Level 3 §5.1.3 steps
// 6 to 8, §13.4.9). It is called at start and by people who set a server up. An rpID of another
// domain will do if the issuer is one of the origins related to it, which browsers then read on that
// domain (§5.11): so passkeys outlive a move.
func CheckOrigin(issuer, rpID string, related ...string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Hostname() == "" {
		return fmt.Errorf("passkeys: the issuer %q is not an origin", issuer)
	}
	host := strings.ToLower(u.Hostname())
	if _, err := netip.ParseAddr(host); err == nil {
		return fmt.Errorf("passkeys: the issuer's host %s is an IP address, and browsers tie passkeys to names: use a domain, or localhost to try things out, or turn passkeys off", host)
	}
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return fmt.Errorf("passkeys: browsers offer them over https only (except on localhost), and the issuer is %s: put it behind TLS, or turn passkeys off", issuer)
	}
	if rpID == "" || rpID == host {
		return nil
	}
	switch {
	case rpID != strings.ToLower(rpID) || strings.ContainsAny(rpID, ":/@ ") || strings.HasPrefix(rpID, ".") || strings.HasSuffix(rpID, "."):
		return fmt.Errorf("passkeys: %q is not a relying party id: write a plain lower-case domain, such as %s", rpID, host)
	case !strings.HasSuffix(host, "."+rpID) && !slices.Contains(related, originOf(issuer)):
		return fmt.Errorf("passkeys: the relying party id %s is neither the issuer's host %s nor a parent domain of it, so browsers would refuse it: leave it out, use %s, or name %s among the related origins and serve their list at https://%s/.well-known/webauthn",
			rpID, host, host, originOf(issuer), rpID)
	}
	if suffix, _ := publicsuffix.PublicSuffix(rpID); suffix == rpID && rpID != "localhost" {
		return fmt.Errorf("passkeys: the relying party id %s is a public suffix, under which anybody may have a domain: leave it out, or use %s", rpID, host)
	}
	return nil
}

// maxRelated is how many origins a document may name: browsers look at five different registrable
// labels and ignore the rest (WebAuthn Level 3 §5.11.1), the one of the relying party among them.
const maxRelated = 20

func checkRelated(origins []string) error {
	if len(origins) > maxRelated {
		return fmt.Errorf("passkeys: %d related origins are more than %d", len(origins), maxRelated)
	}
	for _, o := range origins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "https" || u.Host == "" || originOf(o) != o {
			return fmt.Errorf("passkeys: related origin %q is not of the form https://host", o)
		}
	}
	return nil
}

// hostOf and originOf are for addresses that CheckOrigin accepted.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Scheme + "://" + u.Host)
}

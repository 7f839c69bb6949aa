package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// issuerProblems checks jwt_issuers: whom we believe must be said without doubt. Each problem is a path
// and a text.
func issuerProblems(c *Config) (out [][2]string) {
	names, issuers := map[string]bool{}, map[string]bool{}
	for i, j := range c.JWTIssuers {
		at := fmt.Sprintf("jwt_issuers[%d]", i)
		add := func(path, text string) { out = append(out, [2]string{at + path, text}) }
		switch {
		case !reID.MatchString(j.Name):
			add(".name", strconv.Quote(j.Name)+" is not 1 to 64 letters, digits, . _ or -, beginning with a letter or digit")
		case names[j.Name]:
			add(".name", "the name "+strconv.Quote(j.Name)+" is given twice")
		}
		switch {
		case j.Issuer == "" || len(j.Issuer) > 512:
			add(".issuer", "is missing or too long: the iss of its assertions")
		case issuers[j.Issuer]:
			add(".issuer", "is given twice: it would be unclear whose keys count")
		case j.Issuer == c.Issuer:
			add(".issuer", "is this server: its own tokens are exchanged, not asserted")
		}
		names[j.Name], issuers[j.Issuer] = true, true
		switch {
		case (len(j.JWKS) == 0) == (j.JWKSURI == ""):
			add("", "give either jwks or jwks_uri")
		case j.JWKSURI != "" && !strings.HasPrefix(j.JWKSURI, "https://"):
			add(".jwks_uri", "is not https: whoever is on the way could put keys of their own there")
		}
		if j.Subject == "upstream" && !slices.ContainsFunc(c.Upstreams, func(u Upstream) bool { return u.Name == j.Name }) {
			add(".subject", "is upstream, but upstreams has none called "+strconv.Quote(j.Name))
		}
	}
	return out
}

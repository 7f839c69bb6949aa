package oauth

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Limits of single parameters. They are far above honest use; what exceeds one is refused
// whole, never cut or dropped, so that nothing falls through to a weaker check.
const (
	maxState      = 2048
	maxNonce      = 1024
	maxScopeText  = 4096
	maxScopes     = 64
	maxResources  = 8
	maxURI        = 2048
	maxHint       = 512
	maxWords      = 16
	maxTokenText  = 8192
	maxAccessText = 16 << 10 // of an access token of ours, with authorization details
	maxClientID   = 256
	maxMaxAge     = 1 << 31 // seconds, 68 years: more is a mistake or an attack
	verifierMin   = 43      // RFC 7636 §4.1
	verifierMax   = 128
	challengeSize = 43 // base64url of SHA-256 (RFC 7636 §4.2)
)

// single returns a parameter that may occur once. An empty value counts as left out
// (RFC 6749 §3.1); a second occurrence makes ok false, even if both are equal or empty.
func single(form url.Values, name string) (value string, ok bool) {
	v := form[name]
	switch len(v) {
	case 0:
		return "", true
	case 1:
		return v[0], true
	}
	return "", false
}

// duplicate returns the name of a parameter that occurs twice, or "" (RFC 6749 §3.1, §3.2).
// resource is the one that may be repeated (RFC 8707 §2).
func duplicate(form url.Values) string {
	for name, v := range form {
		if len(v) > 1 && name != "resource" {
			return name
		}
	}
	return ""
}

// parseScope splits a scope parameter (RFC 6749 §3.3). Repeated values count once. ok is false
// for characters outside scope-token and for anything beyond the limits.
func parseScope(s string) (scopes []string, ok bool) {
	if len(s) > maxScopeText {
		return nil, false
	}
	for word := range strings.SplitSeq(s, " ") {
		if word == "" {
			continue // forgiven: some clients double the space
		}
		if !scopeToken(word) {
			return nil, false
		}
		if slices.Contains(scopes, word) {
			continue
		}
		if len(scopes) == maxScopes {
			return nil, false
		}
		scopes = append(scopes, word)
	}
	return scopes, true
}

// scopeToken is RFC 6749 §3.3: printable ASCII without space, quote and backslash.
func scopeToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// parseResources checks resource indicators: absolute URIs without fragment (RFC 8707 §2).
func parseResources(values []string) (resources []string, ok bool) {
	for _, v := range values {
		if v == "" {
			continue
		}
		u, err := url.Parse(v)
		if err != nil || !u.IsAbs() || strings.Contains(v, "#") || len(v) > maxURI {
			return nil, false
		}
		if slices.Contains(resources, v) {
			continue
		}
		if len(resources) == maxResources {
			return nil, false
		}
		resources = append(resources, v)
	}
	return resources, true
}

// parseSeconds reads max_age (OIDC Core §3.1.2.1) and requested_expiry (CIBA §7.1): digits only, within bounds. A value that does
// not parse is an error, never "no limit".
func parseSeconds(s string) (seconds int64, ok bool) {
	if s == "" || len(s) > 10 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n <= maxMaxAge
}

// The values of prompt (OIDC Core §3.1.2.1; create: Initiating User Registration §4).
var prompts = []string{"none", "login", "consent", "select_account", "create"}

// parsePrompt reads prompt. none goes with nothing else.
func parsePrompt(s string) (values []string, ok bool) {
	for word := range strings.SplitSeq(s, " ") {
		if word == "" {
			continue
		}
		if !slices.Contains(prompts, word) {
			return nil, false
		}
		if !slices.Contains(values, word) {
			values = append(values, word)
		}
	}
	if slices.Contains(values, "none") && len(values) > 1 {
		return nil, false
	}
	return values, true
}

// words splits a list of preferences (ui_locales, acr_values). Preferences never fail a request
// (OIDC Core §3.1.2.1), so what is beyond the limits is left out.
func words(s string) []string {
	if s == "" || len(s) > maxHint {
		return nil
	}
	list := strings.Fields(s)
	return list[:min(len(list), maxWords)]
}

// unreserved reports whether s has only the characters of RFC 7636 §4.1 (code verifier).
func unreserved(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !isAlnum(c) && c != '-' && c != '.' && c != '_' && c != '~' {
			return false
		}
	}
	return true
}

// challenge reports whether s can be an S256 code challenge: 43 characters of base64url
// (RFC 7636 §4.2).
func challenge(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '-' && c != '_' {
			return false
		}
	}
	return len(s) == challengeSize
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// Prompts lists the values of prompt on offer, for discovery.
func Prompts() []string { return slices.Clone(prompts) }

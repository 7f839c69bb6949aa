package federation

import (
	"testing"

	"signet/internal/identity/federation/federationtest"
	"signet/internal/platform/errs"
)

// OpenID Connect Discovery §4.3: a document about another issuer is about another issuer.
func TestDiscovery_Refused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]map[string]any{
		"other issuer":            {"issuer": "https://other.example"},
		"issuer with a slash":     {"issuer": "SLASH"},
		"no issuer":               {"issuer": nil},
		"no code flow":            {"response_types_supported": []string{"id_token"}},
		"only HMAC":               {"id_token_signing_alg_values_supported": []string{"HS256", "none"}},
		"no token endpoint":       {"token_endpoint": nil},
		"token endpoint a script": {"token_endpoint": "javascript:alert(1)"},
		"authorize with userinfo": {"authorization_endpoint": "https://u:p@example.com/"},
		"authorize a fragment":    {"authorization_endpoint": "https://example.com/#x"},
		"keys as a file":          {"jwks_uri": "file:///etc/passwd"},
		"members of other types":  {"token_endpoint": []string{"x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := one(t, impatient)
			if change["issuer"] == "SLASH" {
				change["issuer"] = r.op.URL + "/"
			}
			r.says(func(o *federationtest.OP) { o.Metadata = change })
			_, err := r.Start(t.Context(), Start{Provider: "corp", Browser: r.browser, Journey: "j"})
			if !errs.Is(err, errs.Unavailable) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A provider that is down for a while goes unnoticed, for a day; and is not asked all the time.
func TestDiscovery_Cache(t *testing.T) {
	t.Parallel()
	const path = "/.well-known/openid-configuration"
	r := one(t, impatient)
	for range 3 {
		r.start("corp")
	}
	if n := r.op.Asked(path); n != 1 {
		t.Errorf("%d requests for three sign-ins", n)
	}
	r.says(func(o *federationtest.OP) { o.Down = true })
	r.clock.Advance(fresh)
	for range 3 {
		r.start("corp")
	}
	r.clock.Advance(stale)
	for range 3 {
		if _, err := r.Start(t.Context(), Start{Provider: "corp", Browser: r.browser, Journey: "j"}); !errs.Is(err, errs.Unavailable) {
			t.Errorf("with a document of two days ago: %v", err)
		}
	}
	if n := r.op.Asked(path); n > 3 {
		t.Errorf("%d requests while it was down", n)
	}
	r.says(func(o *federationtest.OP) { o.Down = false })
	r.clock.Advance(cooldown)
	r.start("corp")
}

// Plain http belongs to development: a document read over https cannot send us there.
func TestParseMetadata_NoDowngrade(t *testing.T) {
	t.Parallel()
	doc := `{"issuer":"https://a.example","authorization_endpoint":"https://a.example/a","token_endpoint":"http://a.example/t","jwks_uri":"https://a.example/k"}`
	if _, err := parseMetadata([]byte(doc), "https://a.example"); err == nil {
		t.Error("a token endpoint without TLS")
	}
}

func TestNew_Refused(t *testing.T) {
	t.Parallel()
	r := one(t)
	good := r.d
	for name, change := range map[string]func(*Provider){
		"name with a slash":   func(p *Provider) { p.Name = "a/b" },
		"name with dots":      func(p *Provider) { p.Name = ".." },
		"no name":             func(p *Provider) { p.Name = "" },
		"unknown kind":        func(p *Provider) { p.Kind = "saml" },
		"no client":           func(p *Provider) { p.ClientID = "" },
		"issuer with a query": func(p *Provider) { p.Issuer += "?x" },
		"issuer of no host":   func(p *Provider) { p.Issuer = "https://" },
		"without openid":      func(p *Provider) { p.Scopes = []string{"email"} },
		"a claim of no use":   func(p *Provider) { p.Claims = map[string]string{"role": "r"} },
		"name taken":          func(p *Provider) { p.Name = "hub" },
		"domain taken":        func(p *Provider) { p.Name = "x"; p.Domains = []string{"a.example", "A.example"} },
	} {
		d := good
		d.Providers = []Provider{good.Providers[0], good.Providers[1]}
		change(&d.Providers[0])
		if _, err := New(d); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	d := good
	d.OneTime = nil
	if _, err := New(d); err == nil {
		t.Error("without its dependencies")
	}
}

func TestForDomain(t *testing.T) {
	t.Parallel()
	r := one(t)
	for domain, want := range map[string]string{"corp.example": "corp", "CORP.example": "corp", "sub.corp.example": "", "evilcorp.example": "", "": ""} {
		if p, ok := r.ForDomain(domain); p.Name != want || ok != (want != "") {
			t.Errorf("%q: %q", domain, p.Name)
		}
	}
}

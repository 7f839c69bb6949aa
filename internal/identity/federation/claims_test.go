package federation

import (
	"encoding/json"
	"strings"
	"testing"

	"signet/internal/identity/federation/federationtest"
)

// An address is verified if the provider says JSON true beside it, and is trusted.
func TestIdentity_VerifiedIsTrueOrNothing(t *testing.T) {
	t.Parallel()
	r := one(t)
	distrustful := r.service(r.db, func(d *Deps) { d.Providers[0].TrustEmail = false })
	for _, c := range []struct {
		said any
		want bool
	}{
		{true, true}, {false, false}, {nil, false}, {"true", false}, {1, false}, {json.RawMessage("null"), false},
		{[]bool{true}, false}, {map[string]any{"": true}, false}, {"", false},
	} {
		r.says(func(o *federationtest.OP) {
			delete(o.Userinfo, "email_verified")
			if c.said != nil {
				o.Userinfo["email_verified"] = c.said
			}
		})
		a, err := r.whole("corp")
		if err != nil || a.Identity.Email != "ada@corp.example" || a.Identity.Verified != c.want {
			t.Errorf("%v: %+v %v", c.said, a.Identity, err)
		}
		q := r.start("corp")
		if a, err := distrustful.Callback(t.Context(), "corp", r.browser, q); err != nil || a.Identity.Verified {
			t.Errorf("%v, not trusted: %+v %v", c.said, a.Identity, err)
		}
	}
}

// The address and the word on it come from one source, whatever the other says.
func TestIdentity_OneSource(t *testing.T) {
	t.Parallel()
	r := one(t)
	for name, c := range map[string]struct {
		idToken, userinfo map[string]any
		email             string
		verified          bool
	}{
		"verified in the ID token, other address at userinfo": {
			map[string]any{"email_verified": true}, map[string]any{"sub": "1234", "email": "victim@corp.example"}, "victim@corp.example", false},
		"address in the ID token, verified at userinfo": {
			map[string]any{"email": "victim@corp.example"}, map[string]any{"sub": "1234", "email": "own@corp.example", "email_verified": true}, "victim@corp.example", false},
		"both, and they differ": {
			map[string]any{"email": "own@corp.example", "email_verified": true}, map[string]any{"sub": "1234", "email": "victim@corp.example", "email_verified": true}, "own@corp.example", true},
		"an empty address is no licence to look elsewhere": {
			map[string]any{"email": "", "email_verified": true}, map[string]any{"sub": "1234", "email": "victim@corp.example", "email_verified": true}, "", false},
		"an address that is a list": {
			map[string]any{"email": []string{"a@corp.example"}, "email_verified": true}, map[string]any{"sub": "1234"}, "", false},
	} {
		r.says(func(o *federationtest.OP) { o.IDToken, o.Userinfo = c.idToken, c.userinfo })
		a, err := r.whole("corp")
		if err != nil || a.Identity.Email != c.email || a.Identity.Verified != c.verified {
			t.Errorf("%s: %+v %v", name, a.Identity, err)
		}
	}
}

// OIDC Core §5.3.2: userinfo of somebody else is not used, and neither is what is left without it.
func TestIdentity_UserinfoOfAnother(t *testing.T) {
	t.Parallel()
	r := one(t)
	for name, info := range map[string]map[string]any{
		"another sub": {"sub": "victim", "email": "victim@corp.example", "email_verified": true},
		"no sub":      {"email": "victim@corp.example", "email_verified": true},
		"a number":    {"sub": 1234},
	} {
		r.says(func(o *federationtest.OP) { o.Userinfo = info })
		a, err := r.whole("corp")
		r.refuses(name, a, err, KeyRefused)
	}
}

func TestIdentity_Mapping(t *testing.T) {
	t.Parallel()
	r := one(t, func(d *Deps) {
		d.Providers[0].Claims = map[string]string{"email": "mail", "email_verified": "mail_ok", "name": "displayName", "username": "uid"}
	})
	r.says(func(o *federationtest.OP) {
		o.Userinfo = map[string]any{
			"sub": "1234", "email": "wrong@corp.example", "email_verified": true, "mail": " ada@corp.example ", "mail_ok": true,
			"displayName": "Ada", "uid": "ada7", "name": "Wrong", "picture": strings.Repeat("x", maxClaim+1), "given_name": 7,
		}
	})
	a, err := r.whole("corp")
	r.must(err)
	want := Identity{Provider: "corp", Issuer: r.op.URL, Subject: "1234", Email: "ada@corp.example", Verified: true, Name: "Ada", Username: "ada7"}
	if a.Identity != want {
		t.Errorf("%+v", a.Identity)
	}
}

// With all that is needed in the ID token, nothing more is asked for.
func TestIdentity_FromTheIDTokenAlone(t *testing.T) {
	t.Parallel()
	r := one(t)
	r.says(func(o *federationtest.OP) {
		o.IDToken = map[string]any{"email": "ada@corp.example", "email_verified": true, "name": "Ada"}
	})
	if a, err := r.whole("corp"); err != nil || !a.Identity.Verified || r.op.Asked("/userinfo") != 0 {
		t.Errorf("%+v %v, %d requests", a.Identity, err, r.op.Asked("/userinfo"))
	}
}

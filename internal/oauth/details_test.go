package oauth

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
)

const (
	payment = `{"type":"payment","amount":{"currency":"EUR","value":12345678901234567890.10},"creditor":"Shop"}`
	files   = `{"type":"files","actions":["read","write"],"locations":["https://api.test/files"]}`
)

// payer registers a client that may send authorization details.
func (r *rig) payer(edit func(*client.Metadata)) id.Client {
	r.t.Helper()
	return r.shop(func(m *client.Metadata) {
		m.DetailTypes = []string{"payment", "files"}
		if edit != nil {
			edit(m)
		}
	})
}

func sameJSON(t *testing.T, got json.RawMessage, want string) {
	t.Helper()
	var a, b any
	if len(got) == 0 {
		got = json.RawMessage("null")
	}
	da, db := json.NewDecoder(strings.NewReader(string(got))), json.NewDecoder(strings.NewReader(want))
	da.UseNumber()
	db.UseNumber()
	check(t, da.Decode(&a))
	check(t, db.Decode(&b))
	if diff := cmp.Diff(b, a); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
}

// RFC 9396 §6, §7, §9: details go from the request into the token response, the token and introspection,
// may be narrowed on the way, and reach only the API that they are about.
func TestDetails_Flow(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		for _, format := range []string{client.FormatJWT, client.FormatOpaque} {
			c := r.payer(func(m *client.Metadata) { m.AccessTokenFormat = format })
			both := "[" + payment + "," + files + "]"
			scope := "openid offline_access read other"
			tok := r.tokens(c, "scope", scope, "authorization_details", both)
			sameJSON(t, tok.Details, both)
			ask := func(who id.Client, token string) *Introspection {
				out, err := r.Introspect(t.Context(), post(basic(string(who), r.secrets[who]), values("token", token)))
				check(t, err)
				return out
			}
			sameJSON(t, ask(c, tok.AccessToken).Details, both)
			if format == client.FormatJWT {
				raw, err := json.Marshal(claimsOf(t, tok.AccessToken)["authorization_details"])
				check(t, err)
				if !strings.Contains(string(raw), `"payment"`) || !strings.Contains(string(raw), `"files"`) {
					t.Errorf("%s", raw)
				}
			}
			// Another API does not see what is about files of the first.
			api := r.exchanger(func(m *client.Metadata) { m.Audiences, m.Scopes = []string{otherAPI}, []string{"other"} })
			sameJSON(t, ask(api, tok.AccessToken).Details, "["+payment+"]")
			// Narrowing at a refresh: fewer, and fewer actions; what is left out stays granted.
			less := `[{"type":"files","actions":["read"],"locations":["https://api.test/files"]}]`
			next, err := r.refresh(c, tok.RefreshToken, "authorization_details", less)
			check(t, err)
			sameJSON(t, next.Details, less)
			next, err = r.refresh(c, next.RefreshToken, "resource", otherAPI)
			check(t, err)
			sameJSON(t, next.Details, "["+payment+"]")
			for _, more := range []string{
				`[{"type":"files","actions":["read","delete"],"locations":["https://api.test/files"]}]`,
				`[{"type":"files","actions":["read"]}]`, `[{"type":"files","actions":[],"locations":["https://api.test/files"]}]`,
				`[{"type":"payment","amount":{"currency":"EUR","value":99},"creditor":"Shop"}]`, `[{"type":"payment"}]`,
				`[{"type":"unknown"}]`, `{}`,
			} {
				_, err = r.refresh(c, next.RefreshToken, "authorization_details", more)
				wantCode(t, err, InvalidDetails)
			}
			// A type that was withdrawn is in no further token.
			r.edit(c, func(m *client.Metadata) { m.DetailTypes = []string{"files"} })
			next, err = r.refresh(c, next.RefreshToken)
			check(t, err)
			sameJSON(t, next.Details, "["+files+"]")
		}
	})
}

// Security case AZ-27: unknown types, wrong shapes, depth and size are one clear error.
func TestDetails_Refuses(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c, none := r.payer(nil), r.shop(nil)
	deep := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	for _, bad := range []string{
		"x", "1", `"payment"`, payment, "[]", "[null]", "[1]", `[{}]`, `[{"type":1}]`, `[{"type":""}]`, `[{"type":"unknown"}]`, `[{"type":"Payment"}]`,
		`[{"type":"payment","type":"files"}]`, `[{"type":"payment","actions":"read"}]`, `[{"type":"payment","actions":[1]}]`,
		`[{"type":"payment","identifier":{}}]`, `[{"type":"payment","x":` + deep + `}]`, "[" + payment + "] x", "[" + payment + "][]",
		"[" + strings.Repeat(payment+",", maxDetails) + payment + "]", `[{"type":"payment","x":"` + strings.Repeat("x", maxDetailsText) + `"}]`,
		`[{"type":"files","locations":["https://evil.test/"]}]`, `[{"type":"files","locations":["https://api.test.evil.test/"]}]`,
	} {
		_, err := r.ParseAuthorize(t.Context(), ask(c, "authorization_details", bad))
		if e := wantCode(t, err, InvalidDetails); e != nil && e.Redirect == nil {
			t.Errorf("%.40s: the application is not told", bad)
		}
	}
	_, err := r.ParseAuthorize(t.Context(), ask(none, "authorization_details", "["+payment+"]"))
	wantCode(t, err, InvalidDetails)
	req, err := r.ParseAuthorize(t.Context(), ask(c, "authorization_details", "["+files+"]"))
	check(t, err)
	want := []Detail{{Type: "files", Words: "Use files", Lines: []string{"actions: read, write", "locations: https://api.test/files"}}}
	if diff := cmp.Diff(want, r.Details(req)); diff != "" {
		t.Error(diff)
	}
}

// A consent covers what was asked then: details are shown and approved each time.
func TestDetails_NeedConsentEachTime(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		c := r.payer(func(m *client.Metadata) { m.FirstParty = false })
		plain := must(r.ParseAuthorize(t.Context(), ask(c)))
		rich := must(r.ParseAuthorize(t.Context(), ask(c, "authorization_details", "["+payment+"]")))
		check(t, r.Approve(t.Context(), plain, r.user))
		if s, _, err := r.MissingConsent(t.Context(), plain, r.user); err != nil || len(s) != 0 {
			t.Errorf("%v %v", s, err)
		}
		if s, _, err := r.MissingConsent(t.Context(), rich, r.user); err != nil || !slices.Equal(s, rich.Scopes) {
			t.Errorf("%v %v", s, err)
		}
	})
}

// RFC 9396 §6: a client without a user, a device and an assertion take details too.
func TestDetails_OtherGrants(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		list := "[" + files + "]"
		types := func(m *client.Metadata) { m.DetailTypes = []string{"files"} }
		machine := r.exchanger(types)
		tok, err := r.post(machine, values("grant_type", "client_credentials", "scope", "read", "authorization_details", list))
		check(t, err)
		sameJSON(t, tok.Details, list)
		_, err = r.post(machine, values("grant_type", "client_credentials", "scope", "other", "authorization_details", list))
		wantCode(t, err, InvalidDetails) // about another API than the token is for
		tv := r.tv(func(m *client.Metadata) { types(m); m.Audiences = []string{testAPI} })
		d := r.startDevice(tv, "authorization_details", list)
		found, err := r.FindDevice(t.Context(), r.user, d.UserCode)
		check(t, err)
		if len(found.Details) != 1 || found.Details[0].Words != "Use files" {
			t.Errorf("%+v", found.Details)
		}
		check(t, r.DecideDevice(t.Context(), found, r.login(), true))
		tok, err = r.poll(tv, d.DeviceCode)
		check(t, err)
		sameJSON(t, tok.Details, list)
		tok, err = r.assert(r.bearer(types), r.assertion(nil), "scope", "read", "authorization_details", list)
		check(t, err)
		sameJSON(t, tok.Details, list)
		shop := r.payer(nil)
		first := r.tokens(shop, "scope", "openid read other", "authorization_details", "["+payment+","+files+"]")
		gateway := r.exchanger(types, shop)
		tok, err = r.trade(gateway, first.AccessToken, "resource", testAPI)
		check(t, err)
		sameJSON(t, tok.Details, list)
	})
}

// A consent never covers details, and with an assertion there is nobody to be asked: only an application
// that needs no consent may send them then (RFC 9396 §12).
func TestDetails_AssertionsOfThirdParties(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.bearer(func(m *client.Metadata) { m.DetailTypes, m.FirstParty = []string{"payment"}, false })
	check(t, r.Approve(t.Context(), &Request{ClientID: c, Scopes: []string{"read"}}, r.user))
	_, err := r.assert(c, r.assertion(nil), "scope", "read")
	check(t, err)
	_, err = r.assert(c, r.assertion(nil), "scope", "read", "authorization_details", "["+payment+"]")
	wantCode(t, err, InvalidDetails)
}

// What was granted once is not in a token twice (RFC 9396 §6): two payments are more than one.
func TestDetails_DoNotMultiply(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.payer(nil)
	tok := r.tokens(c, "authorization_details", "["+payment+","+files+"]")
	_, err := r.refresh(c, tok.RefreshToken, "authorization_details", "["+payment+","+payment+"]")
	wantCode(t, err, InvalidDetails)
	tok, err = r.refresh(c, tok.RefreshToken, "authorization_details", "["+files+","+payment+"]")
	check(t, err)
	sameJSON(t, tok.Details, "["+files+","+payment+"]")
	// Each finds its own, whichever comes first.
	wide, narrow := `{"type":"files","actions":["read","write"]}`, `{"type":"files","actions":["read"]}`
	tok = r.tokens(c, "authorization_details", "["+wide+","+narrow+"]")
	for _, list := range []string{"[" + narrow + "," + wide + "]", "[" + wide + "," + narrow + "]", "[" + narrow + "," + narrow + "]"} {
		tok, err = r.refresh(c, tok.RefreshToken, "authorization_details", list)
		check(t, err)
		sameJSON(t, tok.Details, list)
	}
	_, err = r.refresh(c, tok.RefreshToken, "authorization_details", "["+wide+","+wide+"]")
	wantCode(t, err, InvalidDetails)
}

// However much a token says, it can be asked about and revoked: else it could not be stopped (RFC 7009 §2).
func TestDetails_LongTokens(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.payer(nil)
	long := func(filler string) string {
		return `[{"type":"payment","creditor":"` + strings.Repeat(filler, (maxDetailsText-40)/len(filler)) + `"}]`
	}
	tok := r.tokens(c, "scope", "openid read other", "authorization_details", long("x"))
	if !r.active(c, tok.AccessToken) {
		t.Errorf("a token of %d bytes is not active", len(tok.AccessToken))
	}
	_, err := r.Userinfo(t.Context(), Call{}, "Bearer", tok.AccessToken)
	check(t, err)
	h, form := r.as(c, values("token", tok.AccessToken))
	check(t, r.Revoke(t.Context(), post(h, form)))
	if r.active(c, tok.AccessToken) || r.audited("token.revoked") != 1 {
		t.Error("it was not revoked")
	}
	// As it is written in tokens, it must not be longer either.
	_, err = r.ParseAuthorize(t.Context(), ask(c, "authorization_details", long("<"))) // \u003c in a token
	wantCode(t, err, InvalidDetails)
	// Whatever else makes a token too long: it is not made.
	f := &flow{client: &client.Client{}, now: r.clock.Now(), details: json.RawMessage(`"` + strings.Repeat("x", maxAccessText) + `"`)}
	wantCode(t, r.signAccess(f, []string{testAPI}, r.clock.Now()), InvalidDetails)
}

func FuzzParseDetails(f *testing.F) {
	f.Add("[" + payment + "," + files + "]")
	f.Add(`[{"type":"payment","type":"files"}]`)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseDetails(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(list)
		check(t, err)
		if len(again) > maxDetailsText {
			return // escapes make it longer
		}
		back, err := parseDetails(string(again))
		check(t, err)
		for i, d := range back {
			if d.kind() == "" || !d.within(list[i]) || len(list) > maxDetails {
				t.Fatalf("%q: %v", text, d)
			}
		}
	})
}

package client

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signet/internal/platform/clock"
	"signet/internal/platform/id"
)

const keyText = `{"client_name":"Owl","redirect_uris":["https://owl.test/cb"],"token_endpoint_auth_method":"private_key_jwt",
	"id_token_signed_response_alg":"ES256","grant_types":["authorization_code","refresh_token"],"scope":"openid offline_access profile","jwks":`

// Security case RG-10: what an operator set, an update of the client neither drops nor changes.
func TestReregister_KeepsMembersOfTheOperator(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		ctx := t.Context()
		text := keyText + string(testJWKS()) + `}`
		made, _, token, err := s.Register(ctx, described(t, text), stranger)
		must(t, err)
		must(t, s.Approve(ctx, made.ID))
		set := func(d *Draft) error {
			m := &d.Metadata
			m.Profile, m.RequirePAR, m.RequirePKCE, m.RefreshGrace = ProfileFAPI2, true, false, 0
			m.Scopes, m.AllowedOrigins = []string{"openid", "offline_access"}, []string{"https://owl.test"}
			m.Contacts = []string{"operator@owl.test"}
			return nil
		}
		updated, err := s.Update(ctx, made.ID, set)
		must(t, err)
		want := []string{"allowed_origins", "profile", "refresh_grace", "require_pkce", "require_pushed_authorization_requests", "scopes"}
		if d := cmp.Diff(want, updated.Metadata.OperatorMembers); d != "" {
			t.Errorf("noted (-want +got):\n%s", d)
		}
		// It says nothing of them, then the contrary: both times they hold, and the answer says so.
		contrary := text[:len(text)-1] + `,"profile":"","require_pushed_authorization_requests":false,"operator_members":[],"require_pkce":true,"contacts":["a@owl.test"]}`
		for _, put := range []string{text, contrary} {
			var c Client
			c, _, token, err = s.Reregister(ctx, made.ID, token.Reveal(), described(t, put), "")
			must(t, err)
			m := c.Metadata
			if m.Profile != ProfileFAPI2 || !m.RequirePAR || m.RequirePKCE || m.RefreshGrace != 0 || !slices.Equal(m.Scopes, []string{"openid", "offline_access"}) ||
				!slices.Equal(m.AllowedOrigins, []string{"https://owl.test"}) || !slices.Equal(m.OperatorMembers, want) {
				t.Errorf("%+v", m)
			}
			if d := c.Describe(); d.Profile != ProfileFAPI2 || !d.RequirePAR || d.Scope != "openid offline_access" {
				t.Errorf("it is told %+v", d)
			}
		}
		if c := get(t, s, made.ID); !slices.Equal(c.Metadata.Contacts, []string{"a@owl.test"}) { // describes: its own
			t.Errorf("%q", c.Metadata.Contacts)
		}
		// What does not go together with them is refused, and nothing is spent.
		bad := `{"client_name":"Owl","redirect_uris":["https://owl.test/cb"]}`
		if _, _, _, err := s.Reregister(ctx, made.ID, token.Reveal(), described(t, bad), ""); len(ProblemsOf(err)) == 0 {
			t.Errorf("under the profile with a secret: %v", err)
		}
		// Set back to its default by the operator, a member of the registries is the client's again.
		_, err = s.Update(ctx, made.ID, func(d *Draft) error { d.Metadata.Profile, d.Metadata.RequirePAR = "", false; return nil })
		must(t, err)
		c, _, _, err := s.Reregister(ctx, made.ID, token.Reveal(), described(t, text[:len(text)-1]+`,"profile":"fapi2"}`), "")
		must(t, err)
		if c.Metadata.Profile != ProfileFAPI2 || slices.Contains(c.Metadata.OperatorMembers, "profile") || c.Metadata.RequirePAR {
			t.Errorf("%+v", c.Metadata)
		}
	})
}

// A row from before it was noted who set what: its demands are held to be the operator's.
func TestReregister_OldRowsAreNotLoosened(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		ctx := t.Context()
		text := keyText + string(testJWKS()) + `}`
		made, _, token, err := s.Register(ctx, described(t, text[:len(text)-1]+`,"require_pushed_authorization_requests":true}`), Registered{})
		must(t, err)
		forget(t, s, made.ID)
		c, _, _, err := s.Reregister(ctx, made.ID, token.Reveal(), described(t, text), "")
		must(t, err)
		if !c.Metadata.RequirePAR || !c.Metadata.RequirePKCE {
			t.Errorf("%+v", c.Metadata)
		}
	})
}

// forget makes a row as earlier releases wrote it.
func forget(t *testing.T, s *Service, cid id.Client) {
	t.Helper()
	c, err := s.load(t.Context(), cid)
	must(t, err)
	c.Metadata.OperatorMembers, c.UpdatedAt = nil, c.UpdatedAt.Add(time.Second)
	must(t, s.write(t.Context(), c))
}

// What an application registers itself is not the operator's.
func TestReregister_ItsOwnDemandsAreItsOwn(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		ctx := t.Context()
		text := keyText + string(testJWKS()) + `}`
		made, _, token, err := s.Register(ctx, described(t, text[:len(text)-1]+`,"dpop_bound_access_tokens":true}`), Registered{})
		must(t, err)
		_, err = s.Update(ctx, made.ID, func(d *Draft) error { d.Metadata.SubjectType = "pairwise"; return nil })
		must(t, err)
		c, _, _, err := s.Reregister(ctx, made.ID, token.Reveal(), described(t, text), "")
		must(t, err)
		if c.Metadata.DPoPBound || c.Metadata.SubjectType != "pairwise" {
			t.Errorf("%+v", c.Metadata)
		}
	})
}

// No member escapes: each either describes the application or can be the operator's.
func TestOperable_CoversTheRow(t *testing.T) {
	t.Parallel()
	full := Defaults(Web)
	all, err := full.members()
	must(t, err)
	names := []string{}
	for _, m := range operable() {
		names = append(names, m.name)
	}
	for name := range all {
		if !slices.Contains(names, name) && !slices.Contains(describing, name) {
			t.Errorf("%s is nobody's", name)
		}
	}
	for _, name := range describing {
		if slices.Contains(names, name) || !slices.Contains(wireNames(), name) && !slices.ContainsFunc(Settings(), func(s Setting) bool { return s.Name == name }) {
			t.Errorf("%s is no member, or listed twice", name)
		}
	}
}

package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/app"
	"signet/internal/app/apptest"
	"signet/internal/config"
	"signet/internal/oauth/client"
)

// A trusted issuer may speak of accounts by id or by verified address, as configured; an address that
// somebody merely entered is nobody's (security case TK-25).
func TestAsserted_Subjects(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	trusting := func(c *config.Config) {
		c.JWTIssuers = []config.JWTIssuer{
			{Name: "ids", Issuer: "https://ids.test", JWKS: set}, {Name: "mails", Issuer: "https://mails.test", JWKS: set, Subject: "email"},
			{Name: "nobody", Issuer: "https://nobody.test", JWKS: set, Subject: "none"},
		}
	}
	apptest.Each(t, apptest.Options{Config: trusting}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		if _, err := a.Clients.CreateAPI(t.Context(), client.API{Audience: "https://api.test/", Name: "API", Scopes: map[string]string{"read": "Read"}}); err != nil {
			t.Fatal(err)
		}
		rp := a.RP(t, client.Web, apptest.FirstParty, func(m *client.Metadata) {
			m.GrantTypes = append(m.GrantTypes, client.GrantJWTBearer)
			m.TrustedIssuers = []string{"ids", "mails", "nobody"}
			m.Audiences, m.Scopes = []string{"https://api.test/"}, append(m.Scopes, "read")
		})
		try := func(issuer, subject string) apptest.Answer {
			t.Helper()
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			claims, _ := json.Marshal(map[string]any{
				"iss": issuer, "sub": subject, "aud": a.URL, "jti": rand.Text(), "exp": a.Clock.Now().Add(time.Minute).Unix(),
			})
			jws, err := signer.Sign(claims)
			if err != nil {
				t.Fatal(err)
			}
			assertion, err := jws.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			return rp.Token("grant_type", client.GrantJWTBearer, "assertion", assertion, "scope", "read")
		}
		verified := a.Count(t, "email_address WHERE verified_at > 0")
		for _, c := range []struct {
			issuer, subject string
			status          int
		}{
			{"https://ids.test", string(person.ID), 200}, {"https://ids.test", person.Email, 400}, {"https://ids.test", "nobody", 400},
			{"https://mails.test", string(person.ID), 400}, {"https://mails.test", "nobody@example.com", 400}, {"https://mails.test", "no address", 400},
			{"https://nobody.test", string(person.ID), 400},
		} {
			if got := try(c.issuer, c.subject); got.Status != c.status || c.status == http.StatusOK && apptest.Claims(t, got.AccessToken)["sub"] != string(person.ID) {
				t.Errorf("%s, %s: %d %s", c.issuer, c.subject, got.Status, got.Body)
			}
		}
		want := http.StatusBadRequest
		if verified > 0 {
			want = http.StatusOK
		}
		if got := try("https://mails.test", person.Email); got.Status != want {
			t.Errorf("%d verified addresses: %d %s", verified, got.Status, got.Body)
		}
		flip := `UPDATE email_address SET verified_at = 1 - CASE WHEN verified_at > 0 THEN 1 ELSE 0 END`
		if _, err := a.DB.Q(t.Context()).Exec(t.Context(), flip); err != nil {
			t.Fatal(err)
		}
		if got := try("https://mails.test", person.Email); got.Status == want {
			t.Errorf("with the proof turned round: %d %s", got.Status, got.Body)
		}
	})
}

// A key set of an issuer that is none stops `signet config check`, not only the start.
func TestAsserted_CheckedKeys(t *testing.T) {
	t.Parallel()
	for _, keys := range []string{`{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AAAA"}]}`, `[]`} {
		cfg := &config.Config{JWTIssuers: []config.JWTIssuer{{Name: "a", Issuer: "https://a.test", JWKS: json.RawMessage(keys)}}}
		cfg.Register.Statements = "refuse"
		if got := fmt.Sprint(app.CheckFile(cfg)); !strings.Contains(got, "{jwt_issuers[0].jwks ") {
			t.Errorf("%s: %s", keys, got)
		}
	}
}

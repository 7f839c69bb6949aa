package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"os"
	"testing"

	"signet/internal/oauth/client"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// benchEngines are the engines to measure: Postgres where there is one.
func benchEngines(b *testing.B, fn func(b *testing.B, r *rig)) {
	engines := []store.Engine{store.SQLite}
	if os.Getenv("SIGNET_TEST_POSTGRES") != "" {
		engines = append(engines, store.Postgres)
	}
	for _, e := range engines {
		b.Run(string(e), func(b *testing.B) {
			r := newRig(b, storetest.Open(b, e))
			b.ReportAllocs()
			fn(b, r)
		})
	}
}

// BenchmarkSignES256 is the floor below every JWT: one bare signature.
func BenchmarkSignES256(b *testing.B) {
	k := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	digest := sha256.Sum256([]byte("x"))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = ecdsa.SignASN1(rand.Reader, k, digest[:])
	}
}

func BenchmarkClientCredentials(b *testing.B) {
	benchEngines(b, func(b *testing.B, r *rig) {
		h, form := r.as(r.newClient(client.Machine, nil), credentialsForm("scope", "read"))
		for b.Loop() {
			if _, err := r.Token(b.Context(), post(h, form)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAuthorizeAndExchange(b *testing.B) {
	benchEngines(b, func(b *testing.B, r *rig) {
		c := r.newClient(client.Web, nil)
		form := ask(c)
		for b.Loop() {
			if _, err := r.exchange(c, r.code(form)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRefresh(b *testing.B) {
	benchEngines(b, func(b *testing.B, r *rig) {
		c := r.newClient(client.Web, nil)
		tok := r.tokens(c)
		for b.Loop() {
			var err error
			if tok, err = r.refresh(c, tok.RefreshToken); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkIntrospect(b *testing.B) {
	benchEngines(b, func(b *testing.B, r *rig) {
		c := r.newClient(client.Web, nil)
		h, form := r.as(c, values("token", r.tokens(c).AccessToken))
		for b.Loop() {
			if out, err := r.Introspect(b.Context(), post(h, form)); err != nil || !out.Active {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkUserinfo(b *testing.B) {
	benchEngines(b, func(b *testing.B, r *rig) {
		token := r.tokens(r.newClient(client.Web, nil)).AccessToken
		for b.Loop() {
			if _, err := r.Userinfo(b.Context(), Call{}, "Bearer", token); err != nil {
				b.Fatal(err)
			}
		}
	})
}

package faults_test

import (
	"testing"

	"golang.org/x/oauth2"

	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
	"signet/test/rig"
)

// Every request of one sign-in goes to the other instance than the one before it: the page, the
// post, the code and its exchange share nothing but the database.
func TestTwoInstances_ServeOneLoginFlow(t *testing.T) {
	t.Parallel()
	for _, engine := range storetest.Engines(t) {
		if engine != store.Postgres {
			continue // an SQLite store has one instance
		}
		p := rig.Cluster(t, storetest.NewURL(t, engine), 2).Start()
		p.ImportUsers("split@example.com")
		party := newParty(t, p)
		before := []int64{p.Instances[0].Served.Load(), p.Instances[1].Served.Load()}

		person := rig.NewPerson(p.Issuer)
		verifier := oauth2.GenerateVerifier()
		landed, err := person.Authorize(party.authorizeURL(verifier), "split@example.com", rig.Password)
		if err != nil {
			t.Fatal(err)
		}
		tokens, outcome := party.exchange(landed.Query().Get("code"), verifier)
		if outcome != acknowledged {
			t.Fatalf("exchange: %s", outcome)
		}
		for step := range 4 {
			if tokens, outcome = party.refresh(tokens.RefreshToken); outcome != acknowledged {
				t.Fatalf("refresh %d: %s", step, outcome)
			}
		}
		for i, instance := range p.Instances {
			if n := instance.Served.Load() - before[i]; n < 3 {
				t.Errorf("instance %d served %d requests of the flow", i, n)
			}
		}
	}
}

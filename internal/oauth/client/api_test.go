package client

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/store/storetest"
)

func orders() API {
	return API{Audience: "https://orders.test", Name: "Orders", Scopes: map[string]string{"orders:read": "See your orders", "orders:write": ""}}
}

func TestAPI_ScopeSaysItsAudience(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		ctx := t.Context()
		made, err := s.CreateAPI(ctx, orders())
		must(t, err)
		apis, err := s.APIs(ctx)
		must(t, err)
		byScope, ok1 := apis.OfScope("orders:read")
		byAud, ok2 := apis.ByAudience("https://orders.test")
		if d := cmp.Diff(made, byScope); !ok1 || !ok2 || d != "" || !cmp.Equal(byScope, byAud) {
			t.Error(d)
		}
		for _, scope := range []string{"orders", "openid", "", "ORDERS:READ"} {
			if _, ok := apis.OfScope(scope); ok {
				t.Errorf("%q belongs to an API", scope)
			}
		}
		if _, ok := apis.ByAudience("https://orders.test/"); ok {
			t.Error("audiences must be compared exactly")
		}
		if len(apis.All()) != 1 || audited(t, s, "api.create") != 1 {
			t.Errorf("%v", apis.All())
		}

		m := valid(Machine)
		m.Scopes = []string{"orders:read"}
		c, _, err := s.Create(ctx, NewClient{Name: "Job", Kind: Machine, Metadata: m})
		must(t, err)
		if !c.AllowsAudience("https://orders.test") || c.AllowsScope("orders:write") || !c.AllowsScope("orders:read") {
			t.Errorf("%+v", c.Metadata)
		}
		if err := s.DeleteAPI(ctx, "https://orders.test"); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), string(c.ID)) {
			t.Errorf("deleting an API in use: %v", err)
		}
		must(t, s.Delete(ctx, c.ID))
		must(t, s.DeleteAPI(ctx, "https://orders.test"))
		if err := s.DeleteAPI(ctx, "https://orders.test"); !errs.Is(err, errs.NotFound) {
			t.Errorf("again: %v", err)
		}
	})
}

func TestAPI_Refuses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		ctx := t.Context()
		_, err := s.CreateAPI(ctx, orders())
		must(t, err)
		if _, err := s.CreateAPI(ctx, API{Audience: "https://orders.test", Name: "Again"}); !errs.Is(err, errs.Conflict) {
			t.Errorf("the same audience: %v", err)
		}
		for name, a := range map[string]API{
			"no audience":        {Name: "x"},
			"relative":           {Audience: "orders", Name: "x"},
			"fragment":           {Audience: "https://a.test/#x", Name: "x"},
			"userinfo":           {Audience: "https://u@a.test", Name: "x"},
			"space":              {Audience: "https://a.test/ ", Name: "x"},
			"long":               {Audience: "https://a.test/" + strings.Repeat("x", 500), Name: "x"},
			"no name":            {Audience: "https://a.test"},
			"standard scope":     {Audience: "https://a.test", Name: "x", Scopes: map[string]string{"openid": ""}},
			"offline":            {Audience: "https://a.test", Name: "x", Scopes: map[string]string{"offline_access": ""}},
			"scope of another":   {Audience: "https://a.test", Name: "x", Scopes: map[string]string{"orders:read": ""}},
			"scope with space":   {Audience: "https://a.test", Name: "x", Scopes: map[string]string{"a b": ""}},
			"strange descripton": {Audience: "https://a.test", Name: "x", Scopes: map[string]string{"a": "x\u202ey"}},
		} {
			if _, err := s.CreateAPI(ctx, a); !errs.Is(err, errs.Invalid) || len(ProblemsOf(err)) != 1 {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := s.CreateAPI(ctx, API{Audience: "urn:example:billing", Name: "Billing"}); err != nil {
			t.Errorf("a URN is an absolute URI: %v", err)
		}
		if apis, _ := s.APIs(ctx); len(apis.All()) != 2 {
			t.Errorf("%v", apis.All())
		}
	})
}

// Two instances cannot give one scope to two APIs.
func TestAPI_RaceForAScope(t *testing.T) {
	t.Parallel()
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			url, c := storetest.NewURL(t, engine), clock.NewFake(start)
			errsC := make(chan error)
			const n = 6
			for i := range n {
				s := instance(t, storetest.Connect(t, url), c, nil)
				go func() {
					_, err := s.CreateAPI(t.Context(), API{Audience: "urn:a:" + string(rune('a'+i)), Name: "x", Scopes: map[string]string{"shared": ""}})
					errsC <- err
				}()
			}
			won := 0
			for range n {
				switch err := <-errsC; {
				case err == nil:
					won++
				case !errs.Is(err, errs.Invalid):
					t.Errorf("loser: %v", err)
				}
			}
			if won != 1 {
				t.Errorf("%d winners", won)
			}
		})
	}
}

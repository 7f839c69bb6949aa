package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func run(t *testing.T, target *Target, flow string, workers, count int) Result {
	t.Helper()
	f, err := Find(flow)
	if err != nil {
		t.Fatal(err)
	}
	ops, err := f.Prepare(t.Context(), target, workers, count)
	if err != nil {
		t.Fatal(err)
	}
	return Run(t.Context(), ops, Bounds{Duration: 10 * time.Second, Count: count})
}

func TestFlows_AllSucceedAgainstAProvider(t *testing.T) {
	t.Parallel()
	target := newProvider(t, func(p *provider) { p.grace = true })
	for _, f := range Flows() {
		r := run(t, target, f.Name, 4, 40)
		if r.Failed != 0 || r.Lost != 0 || r.Done != 40 {
			t.Errorf("%s: %d done, %d failed, %d lost (%s)", f.Name, r.Done, r.Failed, r.Lost, r.Example)
		}
		if r.P50 <= 0 || r.P50 > r.P99 || r.P99 > r.Max || r.Rate <= 0 {
			t.Errorf("%s: p50 %v, p99 %v, max %v, %.1f/s", f.Name, r.P50, r.P99, r.Max, r.Rate)
		}
	}
}

func TestLogin_FindsItsWayThroughOtherProvidersPages(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*provider){
		"name first, then password": func(p *provider) { p.twoSteps = true },
		"consent with boxes":        func(p *provider) { p.consent = true },
		"form post":                 func(p *provider) { p.formPost = true },
		"page that passes on":       func(p *provider) { p.hop = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r := run(t, newProvider(t, change), "login", 2, 6); r.Done != 6 || r.Failed != 0 {
				t.Errorf("%d done, %d failed: %s", r.Done, r.Failed, r.Example)
			}
		})
	}
}

func TestRefresh_CountsFailedAndLostApart(t *testing.T) {
	t.Parallel()
	r := run(t, newProvider(t, func(p *provider) { p.breakEvery = 10 }), "refresh", 4, 100)
	if r.Failed != 10 || r.Lost != 0 || r.Failures["http 503"] != 10 {
		t.Errorf("a provider that sheds: %d failed, %d lost, %v; want 10, 0", r.Failed, r.Lost, r.Failures)
	}
	r = run(t, newProvider(t, func(p *provider) { p.loseEvery = 10 }), "refresh", 4, 100)
	if r.Failed != 10 || r.Lost != 10 || r.Failures["http 400 invalid_grant"] != 10 {
		t.Errorf("a provider that loses tokens: %d failed, %d lost, %v; want 10, 10", r.Failed, r.Lost, r.Failures)
	}
}

func TestRefreshBurst_SeesAProviderWithoutGrace(t *testing.T) {
	t.Parallel()
	target := newProvider(t, nil)
	f, _ := Find("refresh-burst")
	ops, err := f.Prepare(t.Context(), target, 8, 0)
	if err != nil {
		t.Fatal(err)
	}
	// The test provider redeems a refresh token once: seven of eight must be refused.
	if r := Run(t.Context(), ops, Bounds{Count: 3}); r.Lost != 3 {
		t.Errorf("lost %d of 3 bursts (%v)", r.Lost, r.Failures)
	}
}

func TestTarget_RefusesAnythingButLoopback(t *testing.T) {
	t.Parallel()
	target := &Target{Issuer: "http://192.0.2.1:1"}
	if err := target.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("error %v, want one about loopback", err)
	}
}

func TestTarget_RefusesAnotherIssuersDocument(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"issuer":"https://other.example"}`))
	}))
	defer s.Close()
	if err := (&Target{Issuer: s.URL}).Open(t.Context()); err == nil || !strings.Contains(err.Error(), "other.example") {
		t.Errorf("error %v", err)
	}
}

func TestRun_EndsByTimeAndByCount(t *testing.T) {
	t.Parallel()
	nap := func(context.Context) error { time.Sleep(time.Millisecond); return nil }
	start := time.Now()
	r := Run(t.Context(), []Op{nap, nap}, Bounds{Duration: 50 * time.Millisecond})
	if took := time.Since(start); took < 50*time.Millisecond || took > 5*time.Second || r.Done == 0 {
		t.Errorf("ran %v with %d operations", took, r.Done)
	}
	if r := Run(t.Context(), []Op{nap, nap, nap}, Bounds{Duration: time.Minute, Count: 10}); r.Done != 10 {
		t.Errorf("%d operations, want 10", r.Done)
	}
	left := 5
	spent := func(context.Context) error {
		if left--; left < 0 {
			return ErrDone
		}
		return nil
	}
	if r := Run(t.Context(), []Op{spent}, Bounds{Duration: time.Minute}); r.Done != 5 || r.Failed != 0 {
		t.Errorf("%d done, %d failed, want 5 and 0", r.Done, r.Failed)
	}
}

func TestRun_CountsFailuresByKind(t *testing.T) {
	t.Parallel()
	n := 0
	op := func(context.Context) error {
		switch n++; n % 3 {
		case 0:
			return failure("http 500", "broken")
		case 1:
			return errors.New("strange")
		}
		return nil
	}
	r := Run(t.Context(), []Op{op}, Bounds{Count: 9})
	if r.Done != 3 || r.Failed != 6 || r.Failures["http 500"] != 3 || r.Failures["other"] != 3 || r.Example == "" {
		t.Errorf("%+v", r)
	}
}

func TestHistogram_QuantilesWithinTwoPercent(t *testing.T) {
	t.Parallel()
	var h histogram
	var all []time.Duration
	for range 20000 {
		d := time.Duration(rand.ExpFloat64() * float64(3*time.Millisecond))
		h.add(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.5, 0.9, 0.99} {
		want, got := all[int(q*float64(len(all)))], h.quantile(q)
		if e := float64(got-want) / float64(want); e < -0.02 || e > 0.02 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := h.quantile(1); got != all[len(all)-1] {
		t.Errorf("quantile 1 is %v, want the maximum %v", got, all[len(all)-1])
	}
	for _, d := range []time.Duration{0, 1, 63, 64, 65, 127, 128, 1 << 40, 1<<62 + 12345} {
		if b := bucket(d); floor(b) > d || floor(b+1) <= d {
			t.Errorf("%d lands in bucket %d of [%d, %d)", d, b, floor(b), floor(b+1))
		}
	}
}

func FuzzParsePage(f *testing.F) {
	f.Add(`<form action="/x" method=post><input type=password name=p><button>Log in</button></form>`)
	f.Add(`<meta http-equiv=refresh content="0; url='/next'"><form id=a></form><input form=a name=q>`)
	f.Fuzz(func(t *testing.T, body string) {
		u := mustParse("http://127.0.0.1:1/login")
		forms, _, err := parsePage(u, []byte(body))
		if err != nil {
			return
		}
		if c := choose(forms); c != nil {
			if v := c.fill("name", "secret"); c.password() != nil && c.password().name != "" && v.Get(c.password().name) != "secret" {
				t.Errorf("password field %q not filled: %v", c.password().name, v)
			}
		}
	})
}

func mustParse(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

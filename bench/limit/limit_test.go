package limit

import (
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"signet/bench/load"
)

func TestAllowed_IsTheHarmonicSum(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limits []float64
		want   float64
	}{
		{[]float64{100}, 100},
		{[]float64{100, 100}, 50},
		{[]float64{20000, 30000, 60000}, 10000},
	} {
		if got := Allowed(c.limits...); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("Allowed(%v) = %v, want %v", c.limits, got, c.want)
		}
	}
	if got := Allowed(100, 0); !math.IsNaN(got) {
		t.Errorf("a limit that was not measured gives %v, want NaN", got)
	}
}

func TestCompute_Measures(t *testing.T) {
	t.Parallel()
	sign, err := ES256()
	if err != nil {
		t.Fatal(err)
	}
	for name, op := range map[string]load.Op{"ES256": sign, "argon2id": Argon2id(Argon2{MemoryKiB: 64, Time: 1, Parallelism: 1})} {
		if r := PerCore(t.Context(), op, load.Bounds{Duration: time.Minute, Count: 20}); r.Done != 20 || r.Failed != 0 {
			t.Errorf("%s: %d done, %d failed", name, r.Done, r.Failed)
		}
	}
}

func TestDatabase_CommitsAndSelects(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, d *Database, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		for name, op := range map[string]load.Op{"commit": d.Commit, "select": d.Select} {
			if r := load.Run(t.Context(), Same(op, 4), load.Bounds{Count: 40}); r.Done != 40 || r.Failed != 0 {
				t.Errorf("%s: %d done, %d failed: %s", name, r.Done, r.Failed, r.Example)
			}
		}
	}
	t.Run("sqlite", func(t *testing.T) {
		d, err := SQLite(t.Context(), t.TempDir())
		check(t, d, err)
	})
	if dsn := os.Getenv("SIGNET_TEST_POSTGRES"); dsn != "" {
		t.Run("postgres", func(t *testing.T) {
			d, err := Postgres(t.Context(), dsn, 4)
			check(t, d, err)
		})
	}
}

func TestHandler_AnswersWhatItWasGiven(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(Handler())
	defer s.Close()
	put, _ := http.NewRequest(http.MethodPut, s.URL+"/token", strings.NewReader(`{"a":1}`))
	if _, err := s.Client().Do(put); err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().Post(s.URL+"/token", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, _ := io.ReadAll(resp.Body); string(body) != `{"a":1}` {
		t.Errorf("body %q", body)
	}
}

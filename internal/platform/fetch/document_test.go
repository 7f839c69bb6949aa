package fetch

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/platform/errs"
)

func TestLifeOf(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"":                               0,
		"max-age=60":                     time.Minute,
		"public, Max-Age=\"60\"":         time.Minute,
		"max-age=60, no-store":           0,
		"no-cache":                       0,
		"max-age=-1":                     0,
		"max-age=1e9":                    0,
		"max-age=99999999999999999999":   0,
		"s-maxage=5, max-age=60, public": time.Minute,
	} {
		if got := lifeOf(http.Header{"Cache-Control": {header}}); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
	aged := http.Header{"Cache-Control": {"max-age=60"}, "Age": {"45"}}
	if got := lifeOf(aged); got != 15*time.Second {
		t.Errorf("aged: %s", got)
	}
	aged.Set("Age", "90")
	if got := lifeOf(aged); got != 0 {
		t.Errorf("over age: %s", got)
	}
}

// What a caller did not ask for is never handed to it.
func TestGet_OnlyTheKindThatIsWanted(t *testing.T) {
	t.Parallel()
	var accepts atomic.Value
	c, _, _ := serve(t, 2*time.Second, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/logo.png":
			accepts.Store(r.Header.Get("Accept"))
			w.Header().Set("Content-Type", "image/png")
			w.Header().Set("Cache-Control", "max-age=600")
			_, _ = w.Write([]byte("pixels"))
		case "/logo.svg":
			w.Header().Set("Content-Type", "image/svg+xml")
			_, _ = w.Write([]byte("<svg/>"))
		case "/huge.png":
			w.Header().Set("Content-Type", "image/png")
			_, _ = w.Write(make([]byte, MaxBody+1))
		}
	})
	doc, err := c.Get(t.Context(), "https://example.com/logo.png", Image)
	if err != nil || string(doc.Body) != "pixels" || doc.Life != 10*time.Minute {
		t.Errorf("%+v, %v", doc, err)
	}
	if got, _ := accepts.Load().(string); !strings.Contains(got, "image/png") {
		t.Errorf("Accept %q", got)
	}
	for _, refused := range []struct {
		path string
		kind Kind
	}{{"logo.svg", Image}, {"huge.png", Image}, {"logo.png", JSON}} {
		if doc, err := c.Get(t.Context(), "https://example.com/"+refused.path, refused.kind); !errs.Is(err, errs.Unavailable) || doc.Body != nil {
			t.Errorf("%s: %v", refused.path, err)
		}
	}
}

// FuzzLifeOf: whatever the header says, it is a time from none to what fits a number of seconds.
func FuzzLifeOf(f *testing.F) {
	f.Add("max-age=60, public", "5")
	f.Add("MAX-AGE=\"60\"", "-1")
	f.Add("max-age==,,no-store", "x")
	f.Fuzz(func(t *testing.T, control, age string) {
		life := lifeOf(http.Header{"Cache-Control": {control}, "Age": {age}})
		if life < 0 || life > 1<<31*time.Second {
			t.Fatalf("%s", life)
		}
	})
}

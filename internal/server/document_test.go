package server

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"signet/internal/platform/telemetry"
)

func documents(t *testing.T, change func(*Deps)) (*Server, *bytes.Buffer, *recorder) {
	t.Helper()
	var log bytes.Buffer
	seen := &recorder{}
	d := Deps{Issuer: issuer, Log: telemetry.NewLogger(&log, telemetry.LogOptions{Format: "json"}), Metrics: seen}
	if change != nil {
		change(&d)
	}
	s, err := New(d, []Route{
		{Method: "GET", Path: "/doc", Document: true, Handler: func(w http.ResponseWriter, r *http.Request) error {
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(http.StatusNotModified)
				return nil
			}
			w.Header()["Cache-Control"] = []string{"public, max-age=300"}
			_, err := w.Write([]byte("{}"))
			return err
		}},
		{Method: "GET", Path: "/broken", Document: true, Handler: func(http.ResponseWriter, *http.Request) error {
			return errors.New("no keys")
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, &log, seen
}

func TestDocument_IsCountedAndNotLogged(t *testing.T) {
	t.Parallel()
	s, log, seen := documents(t, nil)
	w := do(s, "GET", "/doc", nil)
	if w.Code != http.StatusOK || w.Body.String() != "{}" || w.Header().Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	for _, h := range []string{"X-Content-Type-Options", "Content-Security-Policy", "Strict-Transport-Security"} {
		if w.Header().Get(h) == "" {
			t.Errorf("no %s", h)
		}
	}
	if w := do(s, "GET", "/doc", nil, "If-None-Match", `"x"`); w.Code != http.StatusNotModified || w.Header().Get("Cache-Control") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", log)
	}
	if want := []observed{{"GET", "/doc", 200}, {"GET", "/doc", 304}}; len(seen.list) != 2 || seen.list[0] != want[0] || seen.list[1] != want[1] {
		t.Errorf("counted %v, want %v", seen.list, want)
	}
}

// What is unusual about a request must not slip by the checks of the door.
func TestDocument_UnusualRequestsGoTheWholeWay(t *testing.T) {
	t.Parallel()
	proxy := func(d *Deps) { d.Trusted = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }
	for name, tc := range map[string]struct {
		change  func(*Deps)
		method  string
		target  string
		body    string
		headers []string
		want    int
	}{
		"another host":      {nil, "GET", "/doc", "", []string{"Host", "evil.example"}, http.StatusMisdirectedRequest},
		"another method":    {nil, "DELETE", "/doc", "", nil, http.StatusMethodNotAllowed},
		"not to the letter": {nil, "GET", "//doc", "", nil, http.StatusNotFound},
		"encoded":           {nil, "GET", "/%64oc", "", nil, http.StatusNotFound},
		"too long":          {nil, "GET", "/doc?" + strings.Repeat("a", MaxURLBytes), "", nil, http.StatusRequestURITooLong},
		"compressed body":   {nil, "GET", "/doc", "xx", []string{"Content-Encoding", "gzip"}, http.StatusUnsupportedMediaType},
		"plain http":        {proxy, "GET", "/doc", "", []string{"X-Forwarded-Proto", "http"}, http.StatusForbidden},
		"HEAD":              {nil, "HEAD", "/doc", "", nil, http.StatusOK},
		"port of https":     {nil, "GET", "/doc", "", []string{"Host", "id.example.com:443"}, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, log, _ := documents(t, tc.change)
			w := do(s, tc.method, tc.target, strings.NewReader(tc.body), tc.headers...)
			if w.Code != tc.want || w.Header().Get("X-Request-Id") == "" || log.Len() == 0 {
				t.Errorf("%d, want %d; %v; log %s", w.Code, tc.want, w.Header(), log)
			}
		})
	}
	t.Run("draining", func(t *testing.T) {
		t.Parallel()
		s, _, _ := documents(t, nil)
		s.Drain()
		if w := do(s, "GET", "/doc", nil); w.Code != http.StatusOK || w.Header().Get("Connection") != "close" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
	})
}

func TestDocument_FailureIsAnsweredAndLogged(t *testing.T) {
	t.Parallel()
	s, log, seen := documents(t, nil)
	w := do(s, "GET", "/broken", nil)
	if w.Code != http.StatusInternalServerError || !strings.Contains(log.String(), "no keys") || strings.Contains(w.Body.String(), "no keys") {
		t.Errorf("%d %s; log %s", w.Code, w.Body, log)
	}
	if len(seen.list) != 1 || seen.list[0].status != http.StatusInternalServerError {
		t.Errorf("counted %v", seen.list)
	}
}

func TestDocument_OnlyAProtocolGET(t *testing.T) {
	t.Parallel()
	h := func(http.ResponseWriter, *http.Request) error { return nil }
	for _, r := range []Route{
		{Method: "POST", Path: "/doc", Document: true, Handler: h},
		{Method: "GET", Path: "/doc", Area: Browser, Document: true, Handler: h},
	} {
		if _, err := New(Deps{Issuer: issuer, Log: telemetry.NewLogger(new(bytes.Buffer), telemetry.LogOptions{})}, []Route{r}); err == nil {
			t.Errorf("%s %s in area %d was accepted", r.Method, r.Path, r.Area)
		}
	}
}

func BenchmarkDocument(b *testing.B) {
	s, err := New(Deps{Issuer: issuer, Log: telemetry.NewLogger(new(bytes.Buffer), telemetry.LogOptions{}), Metrics: telemetry.NewMetrics()},
		[]Route{{Method: "GET", Path: "/doc", Document: true, Handler: func(w http.ResponseWriter, _ *http.Request) error {
			_, err := w.Write([]byte("{}"))
			return err
		}}})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/doc", nil)
	r.Host = "id.example.com"
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		w.Body.Reset()
		s.ServeHTTP(w, r)
	}
}

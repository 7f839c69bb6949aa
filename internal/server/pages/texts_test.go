package pages

import (
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"signet/internal/signin"
)

var placeholder = regexp.MustCompile(`{{\s*\.(\w+)\s*}}`)

// catalogue reads the files of a language: key to all its forms, joined.
func catalogue(t *testing.T, tag string) map[string]string {
	t.Helper()
	raw, err := sentences(tag)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for k, v := range raw {
		switch v := v.(type) {
		case string:
			out[k] = v
		case map[string]any:
			for _, form := range v {
				out[k] += form.(string) + "\n"
			}
		}
		if strings.TrimSpace(out[k]) == "" {
			t.Errorf("%s: %s is empty", tag, k)
		}
	}
	return out
}

func TestTexts_SameKeysAndPlaceholdersInEveryLanguage(t *testing.T) {
	t.Parallel()
	en := catalogue(t, "en")
	for _, tag := range tagNames()[1:] {
		other := catalogue(t, tag)
		for key, text := range en {
			theirs, ok := other[key]
			if !ok {
				t.Errorf("%s lacks %s", tag, key)
				continue
			}
			if diff := cmp.Diff(names(text), names(theirs)); diff != "" {
				t.Errorf("%s %s: placeholders differ:\n%s", tag, key, diff)
			}
		}
		for key := range other {
			if _, ok := en[key]; !ok {
				t.Errorf("%s has %s, which en lacks", tag, key)
			}
		}
	}
}

func names(text string) []string {
	out := []string{}
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// A name can end in any sound, and Korean particles depend on it: no placeholder that holds a
// name stands directly before one.
func TestTexts_NoKoreanParticleAfterAName(t *testing.T) {
	t.Parallel()
	bad := regexp.MustCompile(`{{\.(Name|API|Scope|Host)}}(은|는|이|가|을|를|와|과|으로|로|의|에|님)`)
	for key, text := range catalogue(t, "ko") {
		if bad.MatchString(text) {
			t.Errorf("%s: %s", key, text)
		}
	}
}

// Every key is used somewhere in the templates or the sources, and every key that is asked for
// literally exists.
func TestTexts_EveryKeyIsUsedAndEveryUseHasAKey(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	read := func(root, ext string) {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ext || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			text.Write(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	read("../../../web/templates", ".html")
	read("../../../web/static", ".js")
	read("../../../internal", ".go")
	used := text.String()
	keys := catalogue(t, "en")
	field := regexp.MustCompile(`Input "(\w+)"`)
	fields := map[string]bool{}
	for _, m := range field.FindAllStringSubmatch(used, -1) {
		fields["field."+m[1]] = true
		if _, ok := keys["field."+m[1]]; !ok {
			t.Errorf("no label field.%s", m[1])
		}
	}
	for key := range keys {
		quoted := strings.Contains(used, `"`+key+`"`) || strings.Contains(used, "="+key+`"`)
		base := strings.TrimSuffix(strings.TrimSuffix(key, ".title"), ".text")
		byBase := base != key && strings.HasPrefix(key, "error.") && strings.Contains(used, `"`+base+`"`)
		if !quoted && !byBase && !fields[key] {
			t.Errorf("%s is used nowhere", key)
		}
	}
	for _, m := range regexp.MustCompile(`\.T\(?\s?"([a-z_.]+[a-z])"`).FindAllStringSubmatch(used, -1) {
		if _, ok := keys[m[1]]; !ok {
			t.Errorf("%s is asked for but does not exist", m[1])
		}
	}
}

func TestTexts_OrderOfWishes(t *testing.T) {
	t.Parallel()
	p := testPages(t)
	asks := func(tags ...string) *signin.Journey {
		v := testVisit(p.texts.fallback)
		v.j.Request.UILocales = tags
		return v.j
	}
	id := string(asks().ID)
	for name, c := range map[string]struct {
		journey        *signin.Journey
		cookie, accept string
		want           string
	}{
		"nothing":                        {nil, "", "", "en"},
		"browser":                        {nil, "", "ko-KR,ko;q=0.9,en;q=0.8", "ko"},
		"browser speaks neither":         {nil, "", "fr-FR,fr;q=0.9", "en"},
		"second choice of the browser":   {nil, "", "fr, ko;q=0.5", "ko"},
		"cookie over browser":            {nil, "en", "ko", "en"},
		"application over cookie":        {asks("ko"), "en", "en", "ko"},
		"application speaks neither":     {asks("fr", "de"), "ko", "en", "ko"},
		"choice here beats application":  {asks("ko"), "en." + id, "ko", "en"},
		"choice in another journey":      {asks("ko"), "en.other", "en", "ko"},
		"broken header":                  {nil, "", ";;;,,q=,\x01", "en"},
		"broken cookie":                  {nil, "../../etc", "ko", "ko"},
		"application sends a long value": {asks(strings.Repeat("k", 9000)), "", "ko", "ko"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.cookie != "" {
			r.Header.Set("Cookie", cookieLocale+"="+c.cookie)
		}
		r.Header.Set("Accept-Language", c.accept)
		if got := p.texts.of(r, c.journey).tag; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestTexts_PluralsAndMissingKeys(t *testing.T) {
	t.Parallel()
	p := testPages(t)
	en, ko := p.texts.byTag["en"], p.texts.byTag["ko"]
	for got, want := range map[string]string{
		en.T("error.limited.text", "Count", 1): "1 minute.",
		en.T("error.limited.text", "Count", 5): "5 minutes.",
		ko.T("error.limited.text", "Count", 1): "1분",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	if got := en.T("no.such_key"); got != "no.such_key" {
		t.Errorf("missing key renders %q", got)
	}
	if en.has("no.such_key") || !en.has("login.title") || !ko.has("error.busy.text") {
		t.Error("has is wrong")
	}
}

// Many pages at once, in both languages: each stays in its own.
func TestTexts_ConcurrentPagesKeepTheirLanguage(t *testing.T) {
	t.Parallel()
	p := testPages(t)
	marks := map[string]string{"en": "Sign in</button>", "ko": "로그인</button>"}
	var wg sync.WaitGroup
	for i := range 64 {
		tag := tagNames()[i%2]
		wg.Go(func() {
			w := httptest.NewRecorder()
			loc := p.texts.byTag[tag]
			r := httptest.NewRequest("GET", "/signin/x/login", nil)
			v := testVisit(loc)
			if err := p.showLogin(w, r, v, 200, p.loginView(r, v)); err != nil {
				t.Error(err)
			}
			body := w.Body.String()
			if !strings.Contains(body, marks[tag]) || !strings.Contains(body, `<html lang="`+tag+`">`) {
				t.Errorf("page %d is not in %s", i, tag)
			}
		})
	}
	wg.Wait()
}

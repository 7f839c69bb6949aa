package pages

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"

	"signet/internal/signin"
	"signet/web"
)

// languages are those we speak, the fallback first, with the names they call themselves.
var languages = []struct {
	tag  language.Tag
	name string
}{
	{language.English, "English"},
	{language.Korean, "한국어"},
}

func tagNames() []string {
	var out []string
	for _, l := range languages {
		out = append(out, l.tag.String())
	}
	return out
}

// texts holds every sentence in every language. It is immutable after loading.
type texts struct {
	matcher  language.Matcher
	byTag    map[string]*locale
	fallback *locale
}

// locale renders sentences in one language. It belongs to no request: each page carries the
// one it is in, so that pages rendered at the same time never mix languages.
type locale struct {
	tag       string
	localizer *i18n.Localizer
	plain     map[string]string // sentences without placeholders, the common case
}

// loadTexts returns the sentences, for people whose wishes nobody speaks in the language fallback.
func loadTexts(fallback string) (*texts, error) {
	all, err := parsedTexts()
	if err != nil {
		return nil, err
	}
	if fallback == "" {
		fallback = languages[0].tag.String()
	}
	t := *all
	if t.fallback = t.byTag[fallback]; t.fallback == nil {
		return nil, fmt.Errorf("pages: no language %q; there are %s", fallback, strings.Join(tagNames(), ", "))
	}
	return &t, nil
}

// parsedTexts reads the sentences once: they are the same for every instance in a process.
var parsedTexts = sync.OnceValues(func() (*texts, error) {
	bundle := i18n.NewBundle(languages[0].tag)
	bundle.RegisterUnmarshalFunc("json", json.Unmarshal)
	t := &texts{byTag: map[string]*locale{}}
	var tags []language.Tag
	for _, l := range languages {
		all, err := sentences(l.tag.String())
		if err != nil {
			return nil, err
		}
		data, err := json.Marshal(all)
		if err != nil {
			return nil, fmt.Errorf("pages: %w", err)
		}
		if _, err := bundle.ParseMessageFileBytes(data, l.tag.String()+".json"); err != nil {
			return nil, fmt.Errorf("pages: %s: %w", l.tag, err)
		}
		loc := &locale{tag: l.tag.String(), plain: map[string]string{}}
		for key, v := range all {
			if s, ok := v.(string); ok && !strings.Contains(s, "{{") {
				loc.plain[key] = s
			}
		}
		t.byTag[loc.tag] = loc
		tags = append(tags, l.tag)
	}
	for _, loc := range t.byTag {
		loc.localizer = i18n.NewLocalizer(bundle, loc.tag)
	}
	t.matcher = language.NewMatcher(tags)
	return t, nil
})

// sentences reads all files of a language. No key may stand in two of them.
func sentences(tag string) (map[string]any, error) {
	files, err := fs.Glob(web.Files, "locales/"+tag+"/*.json")
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("pages: no sentences in %q: %w", tag, err)
	}
	all := map[string]any{}
	for _, path := range files {
		data, err := fs.ReadFile(web.Files, path)
		if err != nil {
			return nil, fmt.Errorf("pages: %w", err)
		}
		var some map[string]any
		if err := json.Unmarshal(data, &some); err != nil {
			return nil, fmt.Errorf("pages: %s: %w", path, err)
		}
		for key, v := range some {
			if _, twice := all[key]; twice {
				return nil, fmt.Errorf("pages: %s: %s stands in another file too", path, key)
			}
			all[key] = v
		}
	}
	return all, nil
}

// match returns the locale for wishes in order of preference, nil if none is spoken here.
func (t *texts) match(wishes ...string) *locale {
	var tags []language.Tag
	for _, w := range wishes {
		if len(w) > 512 {
			continue
		}
		list, _, err := language.ParseAcceptLanguage(w)
		if err == nil {
			tags = append(tags, list...)
		}
	}
	if len(tags) == 0 {
		return nil
	}
	_, i, confidence := t.matcher.Match(tags...)
	if confidence < language.Low {
		return nil
	}
	return t.byTag[languages[i].tag.String()]
}

// of picks the language of a page: what was chosen on this journey's own pages, what the
// application asked for (ui_locales, OIDC Core §3.1.2.1), what was chosen here before, what
// the browser asks for, the default.
func (t *texts) of(r *http.Request, j *signin.Journey) *locale {
	chosen, within := localeCookie(r)
	cookie := t.byTag[chosen]
	var asked []string
	if j != nil {
		if cookie != nil && within == string(j.ID) {
			return cookie
		}
		asked = j.UILocales()
		if j.Leave != nil {
			asked = j.Leave.Locales
		}
	}
	if loc := t.match(asked...); loc != nil {
		return loc
	}
	if cookie != nil {
		return cookie
	}
	if loc := t.match(r.Header.Get("Accept-Language")); loc != nil {
		return loc
	}
	return t.fallback
}

// has reports whether there is such a sentence.
func (l *locale) has(key string) bool {
	if _, ok := l.plain[key]; ok {
		return true
	}
	_, err := l.localizer.Localize(&i18n.LocalizeConfig{MessageID: key, PluralCount: 2, TemplateData: map[string]any{}})
	return err == nil
}

// T renders a sentence. args are placeholder names and values; an int named Count picks the
// plural form. A key that does not exist shows itself, and a test fails.
func (l *locale) T(key string, args ...any) string {
	if s, ok := l.plain[key]; ok {
		return s
	}
	c := &i18n.LocalizeConfig{MessageID: key}
	data := make(map[string]any, len(args)/2)
	for i := 0; i+1 < len(args); i += 2 {
		name, _ := args[i].(string)
		data[name] = args[i+1]
		if name == "Count" {
			c.PluralCount = args[i+1]
		}
	}
	c.TemplateData = data
	s, err := l.localizer.Localize(c)
	if err != nil {
		return key
	}
	return s
}

// instant is a time on a page: machine-readable, and as text for people without script.
type instant struct{ ISO, Text string }

func (l *locale) instant(t time.Time) instant {
	if t.IsZero() {
		return instant{}
	}
	layout := "2 January 2006, 15:04 UTC"
	if l.tag == "ko" {
		layout = "2006년 1월 2일 15:04 UTC"
	}
	t = t.UTC()
	return instant{t.Format(time.RFC3339), t.Format(layout)}
}

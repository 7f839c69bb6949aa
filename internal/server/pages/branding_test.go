package pages

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func styleSheet(t testing.TB) string {
	t.Helper()
	css, err := joined(".css")
	if err != nil {
		t.Fatal(err)
	}
	return string(css)
}

// declaredColors are the colours that the style sheet declares, per scheme.
func declaredColors(t testing.TB) [2]map[string]rgb {
	t.Helper()
	out := [2]map[string]rgb{{}, {}}
	for _, m := range declared.FindAllStringSubmatch(styleSheet(t), -1) {
		for i := range out {
			c, err := parseColor(m[2+i])
			if err != nil {
				t.Fatal(err)
			}
			out[i][m[1]] = c
		}
	}
	return out
}

// WCAG 2.2 §1.4.3 and §1.4.11, for Signet's own colours: every pair that pages put together.
func TestTheme_Contrast(t *testing.T) {
	t.Parallel()
	text := map[string][]string{
		"ink": {"ground", "surface", "sunken"}, "quiet": {"ground", "surface", "sunken"}, "accent": {"ground", "surface", "sunken"},
		"danger": {"ground", "surface", "sunken"}, "good": {"ground", "surface", "sunken"}, "button-ink": {"button", "button-hover"},
	}
	for i, all := range declaredColors(t) {
		check := func(name string, ground rgb, what string, wanted float64) {
			if got := contrast(all[name], ground); got < wanted {
				t.Errorf("scheme %d: %s on %s has %.2f:1", i, name, what, got)
			}
		}
		for name, grounds := range text {
			for _, g := range grounds {
				check(name, all[g], g, textContrast)
			}
		}
		for _, g := range []string{"ground", "surface", "sunken"} {
			check("edge", all[g], g, edgeContrast)
			check("accent", all[g].mix(all["accent"], tintShare), g+" with the accent's tint", textContrast)
			check("danger", all[g].mix(all["danger"], 0.08), g+" with the tint of danger", textContrast)
			check("ink", all[g].mix(all["ink"], 0.09), g+" under the choice that is current", textContrast)
			check("quiet", all[g].mix(all["ink"], 0.07), g+" under the pointer", textContrast)
		}
	}
}

func TestContrast_KnownPairs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want float64
	}{{"#000000", "#ffffff", 21}, {"#fff", "#fff", 1}, {"#777777", "#ffffff", 4.48}, {"#ff0000", "#ffffff", 4.00}} {
		a, _ := parseColor(c.a)
		b, _ := parseColor(c.b)
		if got := contrast(a, b); math.Abs(got-c.want) > 0.005 {
			t.Errorf("%s on %s: %.3f, want %.2f", c.a, c.b, got, c.want)
		}
	}
}

// Whatever colour an operator chooses, everything made of it can be read in both schemes.
func TestAccent_EveryColourCanBeRead(t *testing.T) {
	t.Parallel()
	all, err := schemes(styleSheet(t))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 16 * 16 * 16 {
		c, err := parseColor(fmt.Sprintf("#%03x", n))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			a := accentOf(c, s)
			if got := s.least(a.text, tintShare); got < textContrast {
				t.Fatalf("%s, %s: links have %.2f:1", c, s.name, got)
			}
			if got := s.least(a.edge, 0); got < edgeContrast {
				t.Fatalf("%s, %s: edges have %.2f:1", c, s.name, got)
			}
			if got := min(contrast(a.ink, a.button), contrast(a.ink, a.hover)); got < textContrast {
				t.Fatalf("%s, %s: buttons have %.2f:1", c, s.name, got)
			}
			if a.button != c {
				t.Fatalf("%s, %s: buttons are %s", c, s.name, a.button)
			}
		}
	}
}

func TestBrand_AccentIsServedAndReported(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	p, err := build(Deps{Issuer: "https://id.example.com", Brand: Brand{Accent: "#ffd400"}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	css := string(p.files.files[strings.TrimPrefix(p.files.css, "/static/")].plain)
	if !strings.Contains(css, "--button:light-dark(#ffd400,#ffd400)") || !strings.Contains(css, "--button-ink:light-dark(#000000,#000000)") {
		t.Errorf("the style sheet ends in %s", css[len(css)-300:])
	}
	if p.files.css == testPages(t).files.css {
		t.Error("the branded style sheet has the name of the plain one")
	}
	if text := log.String(); !strings.Contains(text, "scheme=light") || strings.Contains(text, "scheme=dark") || !strings.Contains(text, "1.2:1") {
		t.Errorf("yellow is too faint on light pages only; the log says %s", text)
	}
}

func TestBrand_RefusedWithTheKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	svg := filepath.Join(dir, "a.svg")
	if err := os.WriteFile(svg, []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><script/></svg>`), 0o600); err != nil {
		t.Fatal(err)
	}
	for key, b := range map[string]Brand{
		"branding.accent":           {Accent: "rebeccapurple"},
		"branding.help_url":         {HelpURL: "javascript:alert(1)"},
		"branding.privacy_url":      {PrivacyURL: "ftp://example.com/"},
		"branding.terms_url":        {TermsURL: "//example.com"},
		"branding.text.ko":          {Text: map[string]string{"ko": strings.Repeat("가", maxBrandText+1)}},
		"branding.text.en":          {Text: map[string]string{"en": "a\u0007b"}},
		"branding.logo_file":        {LogoFile: filepath.Join(dir, "absent.png")},
		"has a script element":      {LogoFile: svg},
		"branding.logo_dark_file: ": {LogoDarkFile: svg},
	} {
		if _, err := build(Deps{Issuer: "https://id.example.com", Brand: b}); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func samplePNG(t testing.TB, width, height int) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.Set(x, y, color.NRGBA{uint8(x), uint8(y), 90, uint8(255 * (x % 2))})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestLogo_PNGIsMadeAnewAndSmall(t *testing.T) {
	t.Parallel()
	data := samplePNG(t, 1600, 400)
	smuggled := append(append([]byte{}, data...), "<script>alert(1)</script>"...)
	l, err := readLogo(smuggled)
	if err != nil {
		t.Fatal(err)
	}
	got, err := png.DecodeConfig(bytes.NewReader(l.data))
	if err != nil || got.Width != 256 || got.Height != 64 || !l.word() || l.width() != 128 {
		t.Errorf("%+v %v, word %v, shown %d wide", got, err, l.word(), l.width())
	}
	if bytes.Contains(l.data, []byte("script")) {
		t.Error("what followed the pixels came through")
	}
	// A picture of many pixels is refused by its header, before it is decoded.
	if _, err := readLogo(samplePNG(t, maxLogoPixels+1, 1)); err == nil {
		t.Error("no limit on the width")
	}
	if _, err := readLogo(data[:200]); err == nil {
		t.Error("half a file was accepted")
	}
}

const goodSVG = `<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 40 20">
<style>.a{fill:url(#g)}</style><defs><linearGradient id="g"><stop offset="0"/></linearGradient></defs>
<path class="a" d="M0 0h1"/><use xlink:href="#x" fill="url('#g')"/></svg>`

func TestLogo_SVG(t *testing.T) {
	t.Parallel()
	l, err := readLogo([]byte(goodSVG))
	if err != nil || l.ratio != 2 || l.kind != "image/svg+xml" {
		t.Fatalf("%+v %v", l, err)
	}
	in := func(inside string) string {
		return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:x="http://www.w3.org/1999/xlink" viewBox="0 0 1 1">` + inside + `</svg>`
	}
	for name, bad := range map[string]string{
		"script":           in(`<script>alert(1)</script>`),
		"handler":          in(`<path onload="alert(1)"/>`),
		"handler, odd":     in(`<path oNcLick="alert(1)"/>`),
		"foreign object":   in(`<foreignObject/>`),
		"html":             in(`<body xmlns="http://www.w3.org/1999/xhtml"/>`),
		"link":             in(`<a x:href="https://evil.example"/>`),
		"foreign use":      in(`<use x:href="https://evil.example/a.svg#x"/>`),
		"plain href":       in(`<use href="//evil.example"/>`),
		"image":            in(`<image href="https://evil.example/a.png"/>`),
		"fill by url":      in(`<path fill="url(https://evil.example)"/>`),
		"style by url":     in(`<path style="fill:URL( 'https://evil.example')"/>`),
		"import":           in(`<style>@import "https://evil.example";</style>`),
		"escaped import":   in(`<style>@\69mport "https://evil.example";</style>`),
		"animation":        in(`<animate attributeName="href" to="javascript:alert(1)"/>`),
		"entities":         `<!DOCTYPE svg [<!ENTITY a "b">]>` + in(""),
		"style sheet":      `<?xml-stylesheet href="https://evil.example"?>` + in(""),
		"no size":          `<svg xmlns="http://www.w3.org/2000/svg"/>`,
		"no name space":    `<svg viewBox="0 0 1 1"/>`,
		"two roots":        in("") + in(""),
		"html page":        `<!doctype html><html><svg/></html>`,
		"nothing":          ``,
		"cut short":        `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1">`,
		"larger than that": in(strings.Repeat(" ", maxLogoSVG)),
	} {
		if _, err := readLogo([]byte(bad)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func FuzzLogo(f *testing.F) {
	f.Add([]byte(goodSVG))
	f.Add(samplePNG(f, 3, 2))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := readLogo(data)
		if err != nil {
			return
		}
		if l.ratio <= 0 || len(l.data) == 0 || l.width() < 1 || l.width() > 240 {
			t.Errorf("%+v", l)
		}
		if low := bytes.ToLower(l.data); l.ext == ".svg" && (bytes.Contains(low, []byte("<script")) || bytes.Contains(low, []byte("<foreignobject"))) {
			// Only within a comment or as quoted text may the words stand.
			if !bytes.Contains(low, []byte("<!--")) && !bytes.Contains(low, []byte("<![cdata[")) {
				t.Errorf("%q", l.data)
			}
		}
	})
}

func TestLogo_OnPages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	day, night := filepath.Join(dir, "day"), filepath.Join(dir, "night")
	for path, data := range map[string][]byte{day: samplePNG(t, 64, 64), night: []byte(goodSVG)} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := build(Deps{Issuer: "https://id.example.com", Name: "Example", Brand: Brand{
		LogoFile: day, LogoDarkFile: night, HelpURL: "mailto:help@example.com", PrivacyURL: "https://example.com/p", TermsURL: "https://example.com/t",
		Text: map[string]string{"en": "Use the account <of> your department.\n\nNew here? Ask at the desk.", "ko": "부서 계정으로 로그인해 주세요."},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for theme, want := range map[string]struct{ src, set, alt string }{
		"": {p.files.logo, p.files.night, ""}, "light": {p.files.logo, "", ""}, "dark": {p.files.night, "", "Example"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/login", nil)
		if theme != "" {
			r.AddCookie(&http.Cookie{Name: cookieTheme, Value: theme})
		}
		loc := p.texts.byTag["en"]
		v := p.view(r, loc, "login.title")
		v.Data = message{}
		w, doc := renderSample(t, p, sample{page: "message", status: 200, view: v})
		if len(v.Greeting) != 2 || v.Greeting[1] != "New here? Ask at the desk." {
			t.Errorf("greeting %q", v.Greeting)
		}
		img := elements(doc, "img")[0]
		if src, _ := attr(img, "src"); src != want.src {
			t.Errorf("%q: src %s", theme, src)
		}
		if alt, ok := attr(img, "alt"); alt != want.alt || !ok {
			t.Errorf("%q: alt %q", theme, alt)
		}
		set := ""
		for _, n := range elements(doc, "source") {
			set, _ = attr(n, "srcset")
		}
		if set != want.set {
			t.Errorf("%q: srcset %q", theme, set)
		}
		if got, _ := attr(elements(doc, "html")[0], "data-theme"); got != theme {
			t.Errorf("%q: data-theme %q", theme, got)
		}
		for _, link := range []string{`href="mailto:help@example.com"`, `href="https://example.com/p"`, `href="https://example.com/t"`} {
			if !strings.Contains(w.Body.String(), link) {
				t.Errorf("%q: no %s", theme, link)
			}
		}
	}

	// Opened by its address, the image is a document that may do nothing.
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, p.files.night, nil)
	r.SetPathValue("file", strings.TrimPrefix(p.files.night, "/static/"))
	if err := p.files.serve(w, r); err != nil {
		t.Fatal(err)
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "sandbox") || !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("policy %q", csp)
	}
}

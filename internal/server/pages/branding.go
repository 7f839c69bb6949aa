package pages

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"signet/internal/server"
)

// Brand is how an operator makes the pages their own: logo, colour, links, a few words. Its zero
// value is Signet's own look. docs/branding.md tells operators.
type Brand struct {
	// LogoFile is an SVG or PNG; LogoDarkFile, if there is one, stands in its place on dark pages.
	LogoFile, LogoDarkFile string
	// Accent is a colour, #rrggbb. Whatever is derived from it has enough contrast.
	Accent string
	// Links in the foot of every page.
	HelpURL, PrivacyURL, TermsURL string
	// Text stands on the login page, per language; plain, lines are paragraphs.
	Text map[string]string
}

const maxBrandText = 600 // characters

// brand is a Brand that was found good.
type brand struct {
	css         string // what the accent adds to the style sheet
	logo, night *logo  // night is nil where the one logo serves both schemes
	text        map[string][]string
	help        string
	legal       []legalLink
}

type legalLink struct{ key, url string }

var brandingFrames = map[string]string{}

func (p *Pages) brandingRoutes() []server.Route {
	return []server.Route{p.post("/theme", p.switchTheme)}
}

// loadBrand checks everything that the operator gave. css is the style sheet without it.
func loadBrand(b Brand, css string, log *slog.Logger) (*brand, error) {
	out := &brand{help: b.HelpURL, text: map[string][]string{}}
	for _, l := range []struct{ key, url string }{{"branding.help_url", b.HelpURL}, {"branding.privacy_url", b.PrivacyURL}, {"branding.terms_url", b.TermsURL}} {
		if l.url != "" && !isBrandLink(l.url) {
			return nil, fmt.Errorf("%s: %q is no web address", l.key, l.url)
		}
	}
	for _, l := range []legalLink{{"page.privacy", b.PrivacyURL}, {"page.terms", b.TermsURL}} {
		if l.url != "" {
			out.legal = append(out.legal, l)
		}
	}
	for tag, text := range b.Text {
		lines, err := brandText(text)
		if err != nil {
			return nil, fmt.Errorf("branding.text.%s: %w", tag, err)
		}
		out.text[tag] = lines
	}
	var err error
	if b.Accent != "" {
		if out.css, err = brandAccent(b.Accent, css, log); err != nil {
			return nil, fmt.Errorf("branding.accent: %w", err)
		}
	}
	if out.logo, err = loadLogo(b.LogoFile); err != nil {
		return nil, fmt.Errorf("branding.logo_file: %w", err)
	}
	if out.night, err = loadLogo(b.LogoDarkFile); err != nil {
		return nil, fmt.Errorf("branding.logo_dark_file: %w", err)
	}
	if out.night != nil && out.logo == nil {
		return nil, fmt.Errorf("branding.logo_dark_file: there is no branding.logo_file for light pages")
	}
	return out, nil
}

// isBrandLink admits web addresses, and mailto for help.
func isBrandLink(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= 2048 && (safeLink(s) || u.Scheme == "mailto" && u.Opaque != "")
}

func brandText(s string) ([]string, error) {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxBrandText {
		return nil, fmt.Errorf("is longer than %d characters, or not UTF-8", maxBrandText)
	}
	var lines []string
	for line := range strings.Lines(s) {
		line = strings.TrimSpace(line)
		if strings.ContainsFunc(line, unicode.IsControl) {
			return nil, fmt.Errorf("has control characters in it")
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// brandAccent derives every use of the colour in both schemes, and tells the operator where it
// had to differ from the colour given.
func brandAccent(value, css string, log *slog.Logger) (string, error) {
	c, err := parseColor(value)
	if err != nil {
		return "", err
	}
	all, err := schemes(css)
	if err != nil {
		return "", err
	}
	var out [2]accent
	for i, s := range all {
		out[i] = accentOf(c, s)
		if out[i].text != c && log != nil {
			log.Warn("branding.accent is hard to read in one scheme, links and focus rings use a neighbour there",
				"accent", c.String(), "scheme", s.name, "contrast", fmt.Sprintf("%.1f:1", s.least(c, tintShare)), "wanted", "4.5:1", "used", out[i].text.String())
		}
	}
	return accentCSS(out[0], out[1]), nil
}

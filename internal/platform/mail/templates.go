package mail

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	texttemplate "text/template"
	"time"

	"signet/web"
)

// A template is one file per language and mail: the subject in the first line, then paragraphs.
// Text and HTML are made from the same paragraphs, so they cannot say different things, and what a
// field holds can never become markup: it is filled in after the paragraphs were told apart.
//
//	Subject: {{.Code}} is your code
//
//	A paragraph, over one line
//	or more.
//
//	[code]
//
//	[button Link] What the button says
//
//	- Browser: {{.Browser}}
//	- Time: {{.At}}
//
//	[quiet] Small print.
//
// A paragraph, a fact (line with "- ") or a button that comes out empty is left out. docs/mail.md
// tells operators.

// languages are those we speak, the fallback first.
var languages = []string{"en", "ko"}

// templates are all mails in all languages, parsed and tried.
type templates struct {
	byTag    map[string]*language
	fallback *language
	text     *texttemplate.Template // layout.txt
	html     *htmltemplate.Template // layout.html
	css      htmltemplate.CSS       // what the accent decides
}

// language is one language's mails and words.
type language struct {
	tag   string
	words map[string]string
	mails map[string]*mailTemplate
}

type mailTemplate struct {
	subject *texttemplate.Template
	parts   []part
}

// part is a paragraph of a template.
type part struct {
	kind  string // text, quiet, code, button, facts
	field string // of a button: where it leads
	text  *texttemplate.Template
	facts []factTemplate
}

type factTemplate struct {
	label string
	value *texttemplate.Template
}

// overlay looks in a first folder, then in a second.
type overlay struct{ first, second fs.FS }

func (o overlay) read(name string) ([]byte, error) {
	if o.first != nil {
		b, err := fs.ReadFile(o.first, name)
		if !errors.Is(err, fs.ErrNotExist) {
			return b, err
		}
	}
	return fs.ReadFile(o.second, name)
}

// loadTemplates parses every file and, where the operator has templates of their own, tries every mail,
// so that a mistake in one stops the start and not the first mail. Ours are tried by the tests.
func loadTemplates(d Deps) (*templates, error) {
	ours, err := fs.Sub(web.Files, "mail")
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	if err := checkNames(d.Templates, ours); err != nil {
		return nil, err
	}
	files := overlay{d.Templates, ours}
	t := &templates{byTag: map[string]*language{}}
	if t.css, err = accentCSS(d.Brand.Accent); err != nil {
		return nil, err
	}
	if err := t.loadLayouts(files); err != nil {
		return nil, err
	}
	for _, tag := range languages {
		if t.byTag[tag], err = loadLanguage(files, tag); err != nil {
			return nil, err
		}
	}
	fallback := d.Locale
	if fallback == "" {
		fallback = languages[0]
	}
	if t.fallback = t.byTag[fallback]; t.fallback == nil {
		return nil, fmt.Errorf("mail: no language %q; there are %s", fallback, strings.Join(languages, ", "))
	}
	if d.Templates == nil {
		return t, nil
	}
	return t, t.try()
}

// checkNames refuses files of the operator's that take the place of none: a mistyped name would
// go unnoticed.
func checkNames(own, ours fs.FS) error {
	if own == nil {
		return nil
	}
	return fs.WalkDir(own, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("mail.templates_dir: %w", err)
		}
		if d.IsDir() || !slices.Contains([]string{".txt", ".html", ".json"}, path.Ext(name)) {
			return nil
		}
		if _, err := fs.Stat(ours, name); err != nil {
			return fmt.Errorf("mail.templates_dir: %s takes the place of no file of ours", name)
		}
		return nil
	})
}

func (t *templates) loadLayouts(files overlay) error {
	b, err := files.read("layout.txt")
	if err == nil {
		t.text, err = texttemplate.New("layout.txt").Option("missingkey=error").Parse(string(b))
	}
	if err != nil {
		return fmt.Errorf("mail: layout.txt: %w", err)
	}
	if b, err = files.read("layout.html"); err == nil {
		t.html, err = htmltemplate.New("layout.html").Option("missingkey=error").Parse(string(b))
	}
	if err != nil {
		return fmt.Errorf("mail: layout.html: %w", err)
	}
	return nil
}

func loadLanguage(files overlay, tag string) (*language, error) {
	l := &language{tag: tag, mails: map[string]*mailTemplate{}}
	b, err := files.read(tag + "/words.json")
	if err == nil {
		err = json.Unmarshal(b, &l.words)
	}
	if err != nil {
		return nil, fmt.Errorf("mail: %s/words.json: %w", tag, err)
	}
	for _, kind := range Kinds() {
		name := tag + "/" + kind + ".txt"
		b, err := files.read(name)
		if err == nil {
			l.mails[kind], err = parseMail(string(b))
		}
		if err != nil {
			return nil, fmt.Errorf("mail: %s: %w", name, err)
		}
	}
	return l, nil
}

var reButton = regexp.MustCompile(`^\[button ([A-Za-z]+)\]\s*(.*)$`)

// parseMail reads one template.
func parseMail(file string) (*mailTemplate, error) {
	file = strings.ReplaceAll(strings.TrimPrefix(file, "\ufeff"), "\r\n", "\n")
	first, rest, _ := strings.Cut(strings.TrimSpace(file), "\n")
	subject, found := strings.CutPrefix(first, "Subject:")
	if !found {
		return nil, errors.New(`the first line must begin with "Subject:"`)
	}
	m := &mailTemplate{}
	var err error
	if m.subject, err = parseText(strings.TrimSpace(subject)); err != nil {
		return nil, err
	}
	for paragraph := range strings.SplitSeq(rest, "\n\n") {
		if paragraph = strings.TrimSpace(paragraph); paragraph == "" {
			continue
		}
		p, err := parsePart(paragraph)
		if err != nil {
			return nil, err
		}
		m.parts = append(m.parts, p)
	}
	return m, nil
}

func parsePart(paragraph string) (p part, err error) {
	if strings.HasPrefix(paragraph, "- ") {
		return parseFacts(paragraph)
	}
	line := strings.Join(strings.Fields(paragraph), " ")
	switch b := reButton.FindStringSubmatch(line); {
	case line == "[code]":
		return part{kind: "code"}, nil
	case b != nil:
		p.kind, p.field, line = "button", b[1], b[2]
	case strings.HasPrefix(line, "[quiet] "):
		p.kind, line = "quiet", line[len("[quiet] "):]
	case strings.HasPrefix(line, "["):
		return p, fmt.Errorf("%q is neither [code], [button Field] nor [quiet]", line)
	default:
		p.kind = "text"
	}
	p.text, err = parseText(line)
	return p, err
}

func parseFacts(paragraph string) (part, error) {
	p := part{kind: "facts"}
	for line := range strings.SplitSeq(paragraph, "\n") {
		label, value, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "- "), ": ")
		if !found || !strings.HasPrefix(strings.TrimSpace(line), "- ") {
			return p, fmt.Errorf("%q does not look like \"- Label: value\"", line)
		}
		t, err := parseText(strings.TrimSpace(value))
		if err != nil {
			return p, err
		}
		p.facts = append(p.facts, factTemplate{strings.TrimSpace(label), t})
	}
	return p, nil
}

func parseText(s string) (*texttemplate.Template, error) {
	return texttemplate.New("").Option("missingkey=error").Parse(s)
}

// match returns the language of a tag: itself, the language it is a variety of, or the default.
func (t *templates) match(tag string) *language {
	tag = strings.ToLower(strings.ReplaceAll(tag, "_", "-"))
	base, _, _ := strings.Cut(tag, "-")
	for _, wish := range []string{tag, base} {
		if l := t.byTag[wish]; l != nil {
			return l
		}
	}
	return t.fallback
}

// duration says how long something works, in words; never more than is true by more than the half
// of a unit.
func (l *language) duration(d time.Duration) string {
	n, unit := int(math.Round(d.Minutes())), "minute"
	switch {
	case d >= 47*time.Hour:
		n, unit = int(math.Round(d.Hours()/24)), "day"
	case d >= 100*time.Minute:
		n, unit = int(math.Round(d.Hours())), "hour"
	}
	n = max(n, 1)
	if n != 1 {
		unit += "s"
	}
	return strings.ReplaceAll(l.words[unit], "{n}", strconv.Itoa(n))
}

// time writes an instant in its own location.
func (l *language) time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(l.words["time"])
}

var reColour = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// standardAccent is the colour of web/static/signet.css.
const standardAccent = "#2a47b8"

// accentCSS is the colour of the button and of the text on it, whichever of black and white is
// easier to read there (WCAG 2.2 §1.4.3).
func accentCSS(accent string) (htmltemplate.CSS, error) {
	if accent == "" {
		accent = standardAccent
	}
	if !reColour.MatchString(accent) {
		return "", fmt.Errorf("mail: the accent %q is not a colour such as %s", accent, standardAccent)
	}
	text := "#ffffff"
	if luminance(accent) > 0.179 { // where black and white contrast alike
		text = "#000000"
	}
	return htmltemplate.CSS("background-color:" + accent + ";color:" + text), nil //nolint:gosec // matched above
}

// luminance is the relative luminance of WCAG 2.2.
func luminance(colour string) float64 {
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, _ := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

// fill executes a template to text.
func fill(t *texttemplate.Template, values map[string]any) (string, error) {
	var b bytes.Buffer
	if err := t.Execute(&b, values); err != nil {
		return "", err
	}
	return strings.Join(strings.Fields(b.String()), " "), nil
}

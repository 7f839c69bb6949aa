package pages

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"signet/web"
)

// frames says which frame each page stands in. Every template file is here or in the list of its
// area.
func frames() map[string]string {
	all := map[string]string{
		"login": "card", "signup": "card", "select": "card", "consent": "card", "logout": "card",
		"message": "card", "formpost": "card", "farewell": "card",
		"overview": "account", "profile": "account", "username": "account", "password": "account",
		"sessions": "account", "applications": "account",
	}
	for _, area := range []map[string]string{
		verifyFrames, landingFrames, inviteFrames, termsFrames, recoveryFrames, mailCodeFrames, addressFrames, notMeFrames,
		activityFrames, dataFrames, deviceFrames, askedFrames, mfaFrames, enrollFrames, securityFrames, passkeyFrames, upstreamFrames, mailboxFrames, brandingFrames,
	} {
		maps.Copy(all, area)
	}
	return all
}

// views are the pages, each parsed when it is first shown: most instances show few of them, and a
// parsed page takes a hundred times the memory of its text. The files are part of the binary, so
// what a test has parsed does not fail here.
type views map[string]func() (*template.Template, error)

func newViews() (views, error) {
	files, err := fs.Sub(web.Files, "templates")
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	v := views{}
	for name, frame := range frames() {
		v[name] = sync.OnceValues(func() (*template.Template, error) {
			t, err := template.New(name).Option("missingkey=error").ParseFS(files, "layout.html", "parts.html", name+".html")
			if err != nil {
				return nil, fmt.Errorf("pages: %w", err)
			}
			return t.Lookup(frame), nil
		})
	}
	return v, nil
}

// page returns the template of a page.
func (v views) page(name string) (*template.Template, error) {
	parse, ok := v[name]
	if !ok {
		return nil, fmt.Errorf("pages: there is no page %q", name)
	}
	return parse()
}

// view is everything that a template sees.
type view struct {
	*locale
	Lang, Name, Host string
	Path             string // of this page; forms post to it
	CSS, JS, Send    string
	Theme            string // light or dark where it was chosen, "" for what the system says
	Themes           []choice
	Logo, LogoNight  string // paths of the operator's logo
	LogoWord         bool   // it has the name in it
	LogoWidth        int
	Help             string
	Legal            []link
	Greeting         []string // the operator's own words for the login page
	Title, Heading   string
	Problems         []problem
	Summary          bool // the problems stand on top as well
	FocusSummary     bool
	Focus            string // the field to start in
	KeepForm         bool   // the page's main form has typed values worth keeping
	Languages        []choice
	Nav              []link
	Saved            string
	Mailbox          string // where a developer reads the mails; "" where they are sent
	App              *app
	Passkey          *passkeyForm // the button for a passkey, where there is one
	Upstreams        []upstreamButton
	Linking          *linking // an identity of another provider that waits to be linked
	CancelURL        string
	Data             any

	lastWay     string     // of signing in, in this browser
	typed       url.Values // what the person had typed, never passwords
	minPassword int
	blamed      []string // fields that a problem of the whole form is about
	formTargets []string // where a form of this page may end up, beyond ourselves
	frames      []string // addresses that this page shows in frames
}

// problem is one thing to put right. Field is "" for the form as a whole.
type problem struct{ Field, Label, Text string }

type choice struct {
	Tag, Name string
	Current   bool
}

type link struct {
	Path, Text, Detail string
	Current            bool
}

func (p *Pages) view(r *http.Request, loc *locale, title string) *view {
	v := &view{
		locale: loc, Lang: loc.tag, Name: p.d.Name, Host: p.host, Path: r.URL.Path, CSS: p.files.css, JS: p.files.js, Send: p.files.send,
		Title: loc.T(title), Heading: loc.T(title), typed: url.Values{}, minPassword: p.d.MinPassword,
	}
	for _, l := range languages {
		tag := l.tag.String()
		v.Languages = append(v.Languages, choice{tag, l.name, tag == loc.tag})
	}
	if p.keepsMail() {
		v.Mailbox = mailboxPath
	}
	p.dress(r, v)
	return v
}

// keep remembers what was typed, so that nothing but a password is typed twice (WCAG 3.3.7).
func (v *view) keep(form url.Values) *view {
	for name, values := range form {
		if !slices.Contains([]string{"password", "current"}, name) {
			v.typed[name] = values
		}
	}
	return v
}

// fail adds a problem: field "" for the form as a whole.
func (v *view) fail(field, text string) *view {
	pr := problem{Field: field, Text: text}
	if field != "" {
		pr.Label = v.label(field)
	}
	v.Problems = append(v.Problems, pr)
	// One problem at one field speaks for itself and takes the focus there.
	v.Summary = len(v.Problems) > 1 || field == ""
	v.FocusSummary = len(v.Problems) > 1
	return v
}

func (v *view) label(field string) string { return v.T("field." + field) }

// focus is the field that the page starts in: where the one problem is, else where a person
// goes on; none when the summary takes it.
func (v *view) focus() string {
	switch {
	case v.FocusSummary:
		return ""
	case len(v.Problems) == 1 && v.Problems[0].Field != "":
		return v.Problems[0].Field
	}
	return v.Focus
}

// input is one form field as the template shows it.
type input struct {
	Name, Label, Type, Value, Hint, Error, Optional string
	Autocomplete, Inputmode, DescribedBy            string
	Plain, Required, Readonly, Invalid, Autofocus   bool
	Password                                        bool
	ShowLabel, HideLabel, ShowText, HideText        string
	CapsText                                        string
	Code                                            bool   // one large field for a code
	CheckText                                       string // what the script says when the field is left with a value that will not do
	CheckMin                                        int    // least number of characters
}

// Input builds a field. Options are "name" or "name=value": type, autocomplete, inputmode,
// hint and label (message keys), plain (no spelling help), required, optional, readonly, and code
// for one field that takes a whole code: large, digits first, filled in by the system where it can.
func (v *view) Input(name string, options ...string) (input, error) {
	in := input{Name: name, Label: v.label(name), Value: v.typed.Get(name)}
	for _, o := range options {
		key, value, _ := strings.Cut(o, "=")
		switch key {
		case "type":
			in.Type, in.Password = value, value == "password"
		case "autocomplete":
			in.Autocomplete = value
		case "inputmode":
			in.Inputmode = value
		case "hint":
			in.Hint = v.T(value, "Min", v.minPassword)
		case "label":
			in.Label = v.T(value)
		case "plain":
			in.Plain = true
		case "required":
			in.Required = true
		case "optional":
			in.Optional = v.T("page.optional")
		case "readonly":
			in.Readonly = true
		case "code":
			in.Code, in.Plain, in.Type, in.Inputmode, in.Autocomplete = true, true, "text", "numeric", "one-time-code"
		default:
			return in, fmt.Errorf("field %s: unknown option %q", name, o)
		}
	}
	if in.Password {
		in.Plain = true
		in.ShowLabel, in.HideLabel = v.T("page.show_password"), v.T("page.hide_password")
		in.ShowText, in.HideText = v.T("page.show"), v.T("page.hide")
		in.CapsText = v.T("page.caps_lock")
	}
	switch {
	case in.Autocomplete == "new-password":
		in.CheckText, in.CheckMin = v.T("password_too_short", "Min", v.minPassword), v.minPassword
	case in.Type == "email":
		in.CheckText = v.T("email_invalid")
	}
	var described []string
	if in.Hint != "" {
		described = append(described, name+"-hint")
	}
	for _, pr := range v.Problems {
		if pr.Field == name {
			in.Error, in.Invalid = pr.Text, true
			described = append(described, name+"-error")
		}
	}
	if slices.Contains(v.blamed, name) {
		in.Invalid = true
		described = append(described, "summary")
	}
	in.DescribedBy = strings.Join(described, " ")
	in.Autofocus = name == v.focus()
	return in, nil
}

// render writes the page whole or not at all: a template that fails half way becomes an error
// page, not half a form.
func (p *Pages) render(w http.ResponseWriter, status int, page string, v *view) error {
	var b bytes.Buffer
	t, err := p.views.page(page)
	if err != nil {
		return err
	}
	if err := t.Execute(&b, v); err != nil {
		return fmt.Errorf("render %s: %w", page, err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", v.Lang)
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h.Set("Vary", "Cookie, Accept-Language")
	h.Set("Cache-Control", "no-store") // also keeps the page out of the back-forward cache
	h.Set("Content-Security-Policy", policy(v.formTargets, v.connects()...)+framePolicy(v.frames))
	w.WriteHeader(status)
	_, err = w.Write(b.Bytes())
	return err
}

// policy is the Content-Security-Policy of a page. Browsers hold the redirects that follow a
// form post against form-action too, so the page from which the last post of a journey goes out
// names where the application lives (w3c/webappsec-csp issue 8).
// connect names what a script may fetch; on most pages that is nothing.
func policy(formTargets []string, connect ...string) string {
	fetch := ""
	if len(connect) > 0 {
		fetch = "connect-src " + strings.Join(connect, " ") + "; "
	}
	return "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; " + fetch + "form-action " +
		strings.Join(append([]string{"'self'"}, formTargets...), " ") +
		"; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
}

// framePolicy adds the origins of a page's frames. One that CSP cannot name is left out, and its frame
// stays empty: the policy never allows more than the frames that were asked for.
func framePolicy(frames []string) string {
	sources := slices.DeleteFunc(formTargets(frames...), func(s string) bool { return strings.HasSuffix(s, ":") })
	if len(sources) == 0 {
		return ""
	}
	return "; frame-src " + strings.Join(sources, " ")
}

// formTargets turns addresses (checked against a client's registration) into CSP sources, each
// as narrow as CSP can say it.
func formTargets(addresses ...string) []string {
	var out []string
	for _, a := range addresses {
		u, err := url.Parse(a)
		if err != nil || u.Scheme == "" {
			continue
		}
		source := u.Scheme + ":" // custom schemes, and IPv6 literals, which CSP cannot name
		if (u.Scheme == "https" || u.Scheme == "http") && isHostSource(u.Host) {
			source = u.Scheme + "://" + u.Host
		}
		if !slices.Contains(out, source) {
			out = append(out, source)
		}
	}
	return out
}

// isHostSource keeps everything out of the header that is not a plain host and port.
func isHostSource(host string) bool {
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != ':'
	})
}

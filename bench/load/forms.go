package load

import (
	"bytes"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// form is an HTML form as far as the generator needs it.
type form struct {
	id     string
	action *url.URL
	method string
	inputs []input
}

type input struct {
	kind  string // text, password, email, hidden, checkbox, submit, …
	name  string
	value string
	label string // text of a button
	auto  string // autocomplete
	on    bool   // checked
}

// parsePage finds the forms of a page, with fields that belong to them by the form
// attribute, and resolves their actions. next is where a page that only passes the browser
// on (meta refresh) sends it, or nil.
func parsePage(base *url.URL, body []byte) (list []*form, next *url.URL, err error) {
	doc, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	byID := map[string]*form{}
	for n := range doc.Descendants() {
		if n.DataAtom == atom.Meta && strings.EqualFold(attr(n, "http-equiv"), "refresh") {
			if m := reRefresh.FindStringSubmatch(attr(n, "content")); m != nil {
				next, _ = base.Parse(m[1])
			}
		}
		if n.Type != html.ElementNode || n.DataAtom != atom.Form {
			continue
		}
		action, err := base.Parse(attr(n, "action"))
		if err != nil {
			return nil, nil, err
		}
		f := &form{id: attr(n, "id"), action: action, method: strings.ToUpper(attr(n, "method"))}
		if f.method == "" {
			f.method = http.MethodGet
		}
		list = append(list, f)
		if f.id != "" {
			byID[f.id] = f
		}
		for c := range n.Descendants() {
			if attr(c, "form") == "" {
				f.add(c)
			}
		}
	}
	for n := range doc.Descendants() {
		if f := byID[attr(n, "form")]; f != nil {
			f.add(n)
		}
	}
	return list, next, nil
}

func (f *form) add(n *html.Node) {
	if n.Type != html.ElementNode || has(n, "disabled") {
		return
	}
	in := input{name: attr(n, "name"), value: attr(n, "value"), auto: strings.ToLower(attr(n, "autocomplete"))}
	switch n.DataAtom {
	case atom.Input:
		in.kind = strings.ToLower(attr(n, "type"))
		if in.kind == "" {
			in.kind = "text"
		}
		in.label = in.value
		in.on = has(n, "checked")
	case atom.Button:
		in.kind = strings.ToLower(attr(n, "type"))
		if in.kind == "" {
			in.kind = "submit"
		}
		in.label = text(n)
	case atom.Select:
		in.kind = "select"
		for o := range n.Descendants() {
			if o.DataAtom == atom.Option && (in.value == "" || has(o, "selected")) {
				in.value = attr(o, "value")
			}
		}
	case atom.Textarea:
		in.kind, in.value = "text", text(n)
	default:
		return
	}
	f.inputs = append(f.inputs, in)
}

var (
	reRefresh    = regexp.MustCompile(`(?i)url\s*=\s*['"]?([^'"]+)`)
	reIdentifier = regexp.MustCompile(`(?i)user|login|email|e-mail|identifier|account`)
	reYes        = regexp.MustCompile(`(?i)allow|accept|approve|grant|agree|continue|consent|\byes\b|confirm|log ?in|sign ?in|submit|next`)
	reNo         = regexp.MustCompile(`(?i)deny|cancel|reject|refuse|decline|log ?out|sign ?out|\bno\b|back|sign ?up|register|language|locale|forgot|reset`)
)

// password returns the field for the current password, or nil.
func (f *form) password() *input {
	for i := range f.inputs {
		if in := &f.inputs[i]; in.kind == "password" && in.auto != "new-password" {
			return in
		}
	}
	return nil
}

// identifier returns the field for the name a person signs in with, or nil.
func (f *form) identifier() *input {
	var first *input
	for i := range f.inputs {
		in := &f.inputs[i]
		if in.kind != "text" && in.kind != "email" && in.kind != "tel" {
			continue
		}
		if reIdentifier.MatchString(in.name) || strings.Contains(in.auto, "username") || strings.Contains(in.auto, "email") {
			return in
		}
		if first == nil {
			first = in
		}
	}
	return first
}

// button returns the submit button that means yes. Where a form has only one it is that one,
// unless it clearly means no.
func (f *form) button() *input {
	var plain *input
	for i := range f.inputs {
		in := &f.inputs[i]
		if in.kind != "submit" && in.kind != "image" {
			continue
		}
		words := in.name + " " + in.value + " " + in.label
		switch {
		case reNo.MatchString(words):
		case reYes.MatchString(words):
			return in
		case plain == nil:
			plain = in
		}
	}
	return plain
}

// choose picks the form a person would go on with: one with a password, then one that asks
// for a name (providers that ask in two steps), then one with a button that means yes.
func choose(forms []*form) *form {
	for _, f := range forms {
		if f.password() != nil {
			return f
		}
	}
	for _, f := range forms {
		if in := f.identifier(); in != nil && reIdentifier.MatchString(in.name+in.auto) && !reNo.MatchString(f.action.Path) {
			return f
		}
	}
	for _, f := range forms {
		if b := f.button(); b != nil && !reNo.MatchString(f.action.Path) &&
			reYes.MatchString(b.name+" "+b.value+" "+b.label+" "+f.action.Path) {
			return f
		}
	}
	return nil
}

// fill returns what the browser sends: hidden fields as they are, name and password, every
// box ticked on a page without a password (scopes to allow), and the button that means yes.
func (f *form) fill(name, password string) url.Values {
	v := f.values()
	if in := f.identifier(); in != nil && in.name != "" {
		v.Set(in.name, name)
	}
	pw := f.password()
	for _, in := range f.inputs {
		if in.kind == "checkbox" && in.name != "" && pw == nil && !in.on {
			v.Add(in.name, boxValue(in))
		}
	}
	if b := f.button(); b != nil && b.name != "" {
		v.Set(b.name, b.value)
	}
	if pw != nil && pw.name != "" {
		v.Set(pw.name, password)
	}
	return v
}

// values returns the form's fields without any button.
func (f *form) values() url.Values {
	v := url.Values{}
	for _, in := range f.inputs {
		switch in.kind {
		case "submit", "button", "reset", "image", "file":
			continue
		case "checkbox", "radio":
			if in.on && in.name != "" {
				v.Add(in.name, boxValue(in))
			}
		default:
			if in.name != "" {
				v.Add(in.name, in.value)
			}
		}
	}
	return v
}

func boxValue(in input) string {
	if in.value == "" {
		return "on"
	}
	return in.value
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, key string) bool {
	for _, a := range n.Attr {
		if a.Key == key {
			return true
		}
	}
	return false
}

func text(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

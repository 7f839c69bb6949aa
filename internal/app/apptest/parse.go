package apptest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

func newPage(u *url.URL, resp *http.Response, body string) *Page {
	p := &Page{URL: u, Status: resp.StatusCode, Header: resp.Header, Body: body}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return p
	}
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		return p
	}
	labels := map[string]string{}
	byID := map[string]*form{}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "label":
			labels[attr(n, "for")] = strings.Join(strings.Fields(textOf(n)), " ")
		case "a":
			p.links = append(p.links, link{attr(n, "href"), strings.Join(strings.Fields(textOf(n)), " ")})
		case "form":
			f := &form{action: attr(n, "action"), method: strings.ToUpper(attr(n, "method"))}
			p.forms = append(p.forms, f)
			byID[attr(n, "id")] = f
		}
	}
	owner := map[*html.Node]*form{}
	i := 0
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" {
			owner[n] = p.forms[i]
			i++
		}
	}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode || !slices.Contains([]string{"input", "button", "select", "textarea"}, n.Data) || has(n, "disabled") {
			continue
		}
		f := byID[attr(n, "form")]
		for up := n.Parent; up != nil && (f == nil || attr(n, "form") == ""); up = up.Parent {
			if owner[up] != nil {
				f = owner[up]
				break
			}
		}
		if f != nil {
			f.inputs = append(f.inputs, control(n, labels))
		}
	}
	return p
}

func control(n *html.Node, labels map[string]string) *input {
	in := &input{name: attr(n, "name"), value: attr(n, "value"), id: attr(n, "id"), kind: attr(n, "type"), checked: has(n, "checked")}
	in.label = labels[in.id]
	switch n.Data {
	case "button":
		if in.kind == "" {
			in.kind = "submit"
		}
		in.label = strings.Join(strings.Fields(textOf(n)), " ")
	case "textarea":
		in.kind, in.value = "text", textOf(n)
	case "select":
		in.kind = "text"
		for o := range n.Descendants() {
			if o.Type == html.ElementNode && o.Data == "option" && (has(o, "selected") || in.value == "") {
				in.value = attr(o, "value")
			}
		}
	case "input":
		if in.kind == "" {
			in.kind = "text"
		}
		if (in.kind == "checkbox" || in.kind == "radio") && in.value == "" {
			in.value = "on"
		}
		if in.kind == "submit" {
			in.label = in.value
		}
	}
	return in
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

func textOf(n *html.Node) string {
	if n.Type == html.ElementNode && slices.Contains([]string{"style", "script", "head"}, n.Data) {
		return ""
	}
	if n.Type == html.TextNode {
		return n.Data + " "
	}
	var b strings.Builder
	for c := range n.ChildNodes() {
		b.WriteString(textOf(c))
	}
	return b.String()
}

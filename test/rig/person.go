package rig

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// Person is a browser without a screen: it keeps cookies, follows redirects inside the provider,
// reads forms and submits them. Not safe for use by several goroutines.
type Person struct {
	issuer string
	http   *http.Client
	forms  []form
	// URL, Status and Text are of the page the person looks at.
	URL    *url.URL
	Status int
	Text   string
}

type form struct {
	action  string
	fields  url.Values
	buttons []string // name=value
}

// NewPerson has visited nothing yet.
func NewPerson(issuer string) *Person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // cannot: no options
	}
	return &Person{issuer: issuer, http: &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Over makes the person reach the provider so, which may have a certificate of its own.
func (p *Person) Over(t http.RoundTripper) *Person {
	p.http.Transport = t
	return p
}

// ErrUnavailable says that the answer was lost: a connection that broke, or a 5xx.
var ErrUnavailable = errors.New("no answer")

// Visit follows redirects to a page (then the URL is nil) or to the first URL outside the
// provider.
func (p *Person) Visit(to string) (*url.URL, error) { return p.follow(http.MethodGet, to, nil) }

func (p *Person) follow(method, to string, body url.Values) (*url.URL, error) {
	for range 15 {
		req, err := http.NewRequest(method, to, strings.NewReader(body.Encode()))
		if err != nil {
			return nil, err
		}
		if method == http.MethodPost {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Origin", p.issuer)
		}
		answer, err := p.http.Do(req)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode >= 500 {
			return nil, fmt.Errorf("%w: %s answered %d %v", ErrUnavailable, to, answer.StatusCode, err)
		}
		location, err := answer.Location()
		if err != nil {
			p.URL, p.Status, p.Text = req.URL, answer.StatusCode, string(text)
			p.forms, err = readForms(p.Text)
			return nil, err
		}
		if !strings.HasPrefix(location.String(), p.issuer+"/") {
			return location, nil
		}
		method, to, body = http.MethodGet, location.String(), nil
	}
	return nil, fmt.Errorf("redirected too often, last to %s", to)
}

// Submit fills in the form that has all the named fields.
func (p *Person) Submit(fields url.Values) (*url.URL, error) {
	return p.submit(fields, func(f form) bool {
		for name := range fields {
			if _, ok := f.fields[name]; !ok {
				return false
			}
		}
		return true
	})
}

// Press presses the button with this name and value.
func (p *Person) Press(name, value string) (*url.URL, error) {
	return p.submit(url.Values{name: {value}}, func(f form) bool { return slices.Contains(f.buttons, name+"="+value) })
}

func (p *Person) submit(fields url.Values, fits func(form) bool) (*url.URL, error) {
	i := slices.IndexFunc(p.forms, fits)
	if i < 0 {
		return nil, fmt.Errorf("no form for %v at %s (%d):\n%s", fields, p.URL, p.Status, p.Text)
	}
	body := url.Values{}
	for name, values := range p.forms[i].fields {
		body[name] = values
	}
	for name, values := range fields {
		body[name] = values
	}
	action, err := p.URL.Parse(p.forms[i].action)
	if err != nil {
		return nil, err
	}
	return p.follow(http.MethodPost, action.String(), body)
}

// Authorize walks from an authorization URL through login and consent to the redirect URI.
func (p *Person) Authorize(to, identifier, password string) (*url.URL, error) {
	landed, err := p.Visit(to)
	for step := 0; landed == nil && err == nil; step++ {
		if step == 5 {
			return nil, fmt.Errorf("the sign-in ended at %s (%d):\n%s", p.URL, p.Status, p.Text)
		}
		if strings.Contains(p.Text, `name="identifier"`) {
			landed, err = p.Submit(url.Values{"identifier": {identifier}, "password": {password}})
		} else {
			landed, err = p.Press("answer", "allow")
		}
	}
	return landed, err
}

func readForms(text string) ([]form, error) {
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	var list []form
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "form":
			list = append(list, form{action: attribute(n, "action"), fields: url.Values{}})
		case "input":
			if name := attribute(n, "name"); name != "" && len(list) > 0 {
				list[len(list)-1].fields.Add(name, attribute(n, "value"))
			}
		case "button":
			if len(list) > 0 {
				f := &list[len(list)-1]
				f.buttons = append(f.buttons, attribute(n, "name")+"="+attribute(n, "value"))
			}
		}
	}
	return list, nil
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

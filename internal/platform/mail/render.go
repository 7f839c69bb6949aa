package mail

import (
	"bytes"
	"fmt"
	htmltemplate "html/template"
	"time"
)

// sheet is what the layouts see: a mail, filled in.
type sheet struct {
	Lang, Subject, Preview string
	Service, Host, To      string
	Accent                 htmltemplate.CSS
	Parts                  []block
	Foot                   string
}

// block is a filled paragraph. Kind is text, quiet, code, button or facts.
type block struct {
	Kind, Text, URL string
	Facts           []fact
}

type fact struct{ Label, Value string }

// write renders m, in the language that it asks for.
func (s *Service) write(m Message, now time.Time) (letter, error) {
	lang := s.templates.match(m.Locale)
	values, err := s.values(m, lang, now)
	if err != nil {
		return letter{}, err
	}
	l, err := s.templates.render(lang, m.Kind, values)
	if err != nil {
		return letter{}, fmt.Errorf("mail %s: %w", m.Kind, err)
	}
	return l, nil
}

// render fills a mail in.
func (t *templates) render(lang *language, kind string, values map[string]any) (letter, error) {
	m := lang.mails[kind]
	text := func(key string) string { s, _ := values[key].(string); return s }
	out := sheet{Lang: lang.tag, Service: text("Service"), Host: text("Host"), To: text("To"), Accent: t.css}
	var err error
	if out.Subject, err = fill(m.subject, values); err != nil {
		return letter{}, err
	}
	for _, p := range m.parts {
		b, err := p.fill(values)
		if err != nil {
			return letter{}, err
		}
		if b.Kind == "" {
			continue
		}
		if out.Preview == "" && b.Kind == "text" {
			out.Preview = b.Text
		}
		out.Parts = append(out.Parts, b)
	}
	foot, err := parseText(lang.words["foot"])
	if err != nil {
		return letter{}, err
	}
	if out.Foot, err = fill(foot, values); err != nil {
		return letter{}, err
	}
	var plain, html bytes.Buffer
	if err := t.text.Execute(&plain, out); err != nil {
		return letter{}, err
	}
	if err := t.html.Execute(&html, out); err != nil {
		return letter{}, err
	}
	return letter{Kind: kind, Lang: lang.tag, Subject: out.Subject, Text: plain.String(), HTML: html.String()}, nil
}

// fill fills a paragraph in; the zero block stands for one with nothing to say.
func (p part) fill(values map[string]any) (b block, err error) {
	switch p.kind {
	case "code":
		b.Text, _ = values["Code"].(string)
	case "facts":
		for _, f := range p.facts {
			v, err := fill(f.value, values)
			if err != nil {
				return b, err
			}
			if v != "" {
				b.Facts = append(b.Facts, fact{f.label, v})
			}
		}
	default:
		if b.Text, err = fill(p.text, values); err != nil {
			return b, err
		}
	}
	if p.kind == "button" {
		url, known := values[p.field].(string)
		if !known {
			return b, fmt.Errorf("there is no field %s for a button", p.field)
		}
		if b.URL = url; url == "" {
			return block{}, nil
		}
	}
	if b.Text == "" && len(b.Facts) == 0 {
		return block{}, nil
	}
	b.Kind = p.kind
	return b, nil
}

// try renders every mail in every language, with every field and with the required ones alone.
func (t *templates) try() error {
	for tag, lang := range t.byTag {
		for _, word := range []string{"minute", "minutes", "hour", "hours", "day", "days", "time", "foot"} {
			if lang.words[word] == "" {
				return fmt.Errorf("mail: %s/words.json: %s is missing", tag, word)
			}
		}
		for kind := range kinds {
			for _, all := range []bool{true, false} {
				values := map[string]any{"Service": "S", "Host": "H", "To": "T", "Valid": "V"}
				for name, f := range fields(kind) {
					values[name] = ""
					if all || f.required {
						values[name] = "x"
					}
				}
				if _, err := t.render(lang, kind, values); err != nil {
					return fmt.Errorf("mail: %s/%s.txt: %w", tag, kind, err)
				}
			}
		}
	}
	return nil
}

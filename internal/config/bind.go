package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// binder walks a parsed file into a Config and collects problems.
type binder struct {
	file     string
	dir      string // of the file; relative paths in it start there
	problems Problems
	where    map[string]string
	secrets  map[string]secretSource // path of a secret → where it is to be read
	known    []string                // every key with its section, for hints
}

func (b *binder) problem(n *yaml.Node, at, format string, args ...any) {
	line := 0
	if n != nil {
		line = n.Line
	}
	b.problems = append(b.problems, Problem{File: b.file, Line: line, At: at, Text: fmt.Sprintf(format, args...)})
}

func (b *binder) place(n *yaml.Node) string { return fmt.Sprintf("%s:%d", b.file, n.Line) }

// mapping binds the keys of one section.
func (b *binder) mapping(n *yaml.Node, v reflect.Value, prefix string) {
	at := prefix
	if at == "" {
		at = "file"
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		b.problem(n, at, "YAML anchors and aliases are not supported")
		return
	}
	if n.Kind != yaml.MappingNode {
		b.problem(n, at, "expected keys and values")
		return
	}
	fields := children(v, prefix)
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			b.problem(k, at, "a key must be plain text")
			continue
		}
		if first, dup := seen[k.Value]; dup {
			b.problem(k, join(prefix, k.Value), "is given twice (first in line %d)", first)
			continue
		}
		seen[k.Value] = k.Line
		b.pair(k, val, fields, prefix)
	}
}

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

func (b *binder) pair(k, val *yaml.Node, fields []field, prefix string) {
	for _, f := range fields {
		switch {
		case f.key() == k.Value && f.section():
			if !null(val) {
				b.mapping(val, f.value, f.path)
			}
			return
		case f.key() == k.Value && f.list():
			b.sequence(val, f)
			return
		case f.key() == k.Value:
			b.leaf(val, f)
			return
		case f.secret() && f.key()+"_file" == k.Value:
			b.secretFile(val, f)
			return
		}
	}
	b.unknown(k, fields, prefix)
}

func (b *binder) unknown(k *yaml.Node, fields []field, prefix string) {
	var siblings []string
	for _, f := range fields {
		siblings = append(siblings, f.key())
		if f.secret() {
			siblings = append(siblings, f.key()+"_file")
		}
	}
	if hint := nearest(k.Value, siblings); hint != "" {
		b.problem(k, join(prefix, k.Value), "unknown key; did you mean %s?", join(prefix, hint))
		return
	}
	for _, other := range b.known { // right key, wrong section
		if other[strings.LastIndexByte(other, '.')+1:] == k.Value {
			b.problem(k, join(prefix, k.Value), "unknown key; did you mean %s?", other)
			return
		}
	}
	b.problem(k, join(prefix, k.Value), "unknown key; known here: %s", strings.Join(siblings, ", "))
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func (b *binder) sequence(n *yaml.Node, f field) {
	if null(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		b.problem(n, f.path, "expected a list")
		return
	}
	if len(n.Content) > maxItems {
		b.problem(n, f.path, "has more than %d entries", maxItems)
		return
	}
	out := reflect.MakeSlice(f.value.Type(), len(n.Content), len(n.Content))
	f.value.Set(out)
	for i, item := range n.Content {
		b.where[fmt.Sprintf("%s[%d]", f.path, i)] = b.place(item)
		b.mapping(item, out.Index(i), fmt.Sprintf("%s[%d]", f.path, i))
	}
}

const maxItems = 10_000

func (b *binder) leaf(n *yaml.Node, f field) {
	if null(n) {
		return // "key:" with nothing means the default
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		b.problem(n, f.path, "YAML anchors and aliases are not supported")
		return
	}
	if f.secret() {
		if n.Kind != yaml.ScalarNode {
			b.problem(n, f.path, "expected text")
			return
		}
		b.addSecret(n, f, secretSource{field: f, value: n.Value, text: true, at: f.path, line: n.Line})
		return
	}
	if err := b.value(n, f); err != nil {
		b.problem(n, f.path, "%s", err)
		return
	}
	b.where[f.path] = b.place(n)
	if f.isPath() {
		f.value.SetString(b.relative(f.value.String()))
	}
}

func (b *binder) value(n *yaml.Node, f field) error {
	t := f.value.Type()
	switch {
	case t == typeJSON && n.Kind == yaml.MappingNode:
		return setJSON(n, f)
	case t == typeMap:
		return setMap(n, f)
	case t.Kind() == reflect.Slice && t != typeJSON:
		items, err := scalars(n)
		if err != nil {
			return err
		}
		return f.setList(f.value, items)
	case n.Kind != yaml.ScalarNode:
		return errors.New("expected a single value")
	}
	return f.setText(n.Value)
}

// scalars reads a list; one value alone counts as a list of one.
func scalars(n *yaml.Node) ([]string, error) {
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}, nil
	}
	if n.Kind != yaml.SequenceNode {
		return nil, errors.New("expected a list")
	}
	var out []string
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode || null(item) {
			return nil, errors.New("expected a list of plain values")
		}
		out = append(out, item.Value)
	}
	return out, nil
}

func setMap(n *yaml.Node, f field) error {
	if n.Kind != yaml.MappingNode {
		return errors.New("expected names and texts")
	}
	m := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || v.Kind != yaml.ScalarNode {
			return errors.New("expected names and texts")
		}
		if _, dup := m[k.Value]; dup {
			return fmt.Errorf("%s is given twice", k.Value)
		}
		m[k.Value] = v.Value
	}
	f.value.Set(reflect.ValueOf(m))
	return nil
}

// setJSON lets a JSON object be written as YAML.
func setJSON(n *yaml.Node, f field) error {
	var v map[string]any
	if err := n.Decode(&v); err != nil {
		return errors.New("is not a JSON object")
	}
	text, err := json.Marshal(v)
	if err != nil {
		return errors.New("is not a JSON object")
	}
	f.value.SetBytes(text)
	return nil
}

func (b *binder) secretFile(n *yaml.Node, f field) {
	if null(n) {
		return
	}
	if n.Kind != yaml.ScalarNode {
		b.problem(n, f.path+"_file", "expected a file name")
		return
	}
	b.addSecret(n, f, secretSource{field: f, value: b.relative(n.Value), at: f.path + "_file", line: n.Line})
}

func (b *binder) addSecret(n *yaml.Node, f field, s secretSource) {
	if _, twice := b.secrets[f.path]; twice {
		b.problem(n, f.path, "give either %s or %s_file", f.key(), f.key())
		return
	}
	s.file = b.file
	b.secrets[f.path] = s
}

func (b *binder) relative(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(b.dir, path)
}

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"signet/internal/platform/seal"
)

// Source says what to load.
type Source struct {
	File string   // YAML; "" for none
	Env  []string // as os.Environ
	Set  []string // flags: key=value
	// Check, if set, says what else is wrong, so that it is reported together with the rest.
	Check func(*Config) []Fault
}

// Fault is something wrong with the value of a key, such as clients[0].redirect_uris.
type Fault struct{ Path, Text string }

// Default returns the configuration of an empty file. It is not complete: issuer and master
// key have no default.
func Default() *Config {
	c := &Config{where: map[string]string{}}
	for _, f := range leaves(reflect.ValueOf(c).Elem(), "") {
		if text, ok := f.tag.Lookup("default"); ok {
			if err := f.setText(text); err != nil {
				panic(f.path + ": " + err.Error()) // a tag; TestTable_TagsAreValid reads every one
			}
		}
	}
	return c
}

// Load reads file, environment and flags, each over the one before. The error is Problems:
// everything that is wrong, at once.
func Load(src Source) (*Config, error) { return load(src, readLimited) }

func load(src Source, read func(string) ([]byte, error)) (*Config, error) {
	c := Default()
	root := reflect.ValueOf(c).Elem()
	b := &binder{file: src.File, where: c.where, secrets: map[string]secretSource{}}
	for _, f := range leaves(root, "") {
		b.known = append(b.known, f.path)
	}
	if src.File != "" {
		b.dir = filepath.Dir(src.File)
		b.read(root, read)
		if _, given := c.where["database.path"]; !given {
			c.Database.Path = b.relative(c.Database.Path)
		}
	}
	b.environment(root, src.Env)
	b.flags(root, src.Set)
	b.readSecrets()
	if len(b.problems) == 0 || !b.broken() {
		found := c.validate(src.File)
		if src.Check != nil {
			for _, f := range src.Check(c) {
				found = append(found, c.problem(src.File, f.Path, f.Text))
			}
		}
		for _, p := range found {
			if !b.reported(p.At) {
				b.problems = append(b.problems, p)
			}
		}
	}
	if len(b.problems) > 0 {
		return nil, b.problems.sorted()
	}
	return c, nil
}

// broken reports whether the file could not be parsed at all, so that missing keys mean nothing.
func (b *binder) broken() bool {
	return slices.ContainsFunc(b.problems, func(p Problem) bool { return p.At == "file" })
}

// reported tells whether a key's own value is already a problem: that it is missing then is
// no news.
func (b *binder) reported(path string) bool {
	return slices.ContainsFunc(b.problems, func(p Problem) bool {
		return p.At == path || p.At == path+"_file" || p.At == envName(path) || p.At == envName(path)+"_FILE" ||
			strings.HasSuffix(p.Text, "did you mean "+path+"?")
	})
}

const maxFile = 1 << 20

func (b *binder) read(root reflect.Value, read func(string) ([]byte, error)) {
	text, err := read(b.file)
	if err != nil {
		b.problem(nil, "file", "%s", err)
		return
	}
	doc, err := parseYAML(text)
	if err != nil {
		b.problem(nil, "file", "%s", err)
		return
	}
	if doc != nil {
		b.mapping(doc, root, "")
	}
}

// parseYAML returns the top node of the only document, nil for an empty file. The text of
// the parser's errors names lines, never values.
func parseYAML(text []byte) (n *yaml.Node, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errors.New("is not valid YAML")
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one YAML document")
	}
	if len(doc.Content) == 0 || null(doc.Content[0]) {
		return nil, nil
	}
	return doc.Content[0], nil
}

// ignoredEnv are variables of ours that are no configuration keys.
var ignoredEnv = []string{"SIGNET_CONFIG", "SIGNET_DATA"}

func (b *binder) environment(root reflect.Value, env []string) {
	fields := map[string]field{}
	for _, f := range leaves(root, "") {
		fields[f.env()] = f
	}
	fromEnv := map[string]secretSource{}
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "SIGNET_") || value == "" || slices.Contains(ignoredEnv, name) {
			continue
		}
		if f, ok := fields[name]; ok && !f.secret() {
			if err := f.setText(value); err != nil {
				b.problems = append(b.problems, Problem{At: name, Text: err.Error()})
			}
			b.where[f.path] = name
			continue
		}
		base, isFile := strings.CutSuffix(name, "_FILE")
		f, ok := fields[name]
		if !ok && isFile {
			f, ok = fields[base]
			ok = ok && f.secret()
		}
		if !ok {
			b.unknownEnv(name, fields)
			continue
		}
		if _, twice := fromEnv[f.path]; twice {
			b.problems = append(b.problems, Problem{At: name, Text: fmt.Sprintf("give either %s or %s_FILE", f.env(), f.env())})
			continue
		}
		_, plain := fields[name]
		fromEnv[f.path] = secretSource{field: f, value: value, text: plain, at: name}
	}
	for path, s := range fromEnv {
		b.secrets[path] = s
	}
}

// unknownEnv reports a mistyped variable. Others are none of our business: Kubernetes puts
// SIGNET_SERVICE_HOST and its like into every container beside a service of that name.
func (b *binder) unknownEnv(name string, fields map[string]field) {
	var names []string
	for n, f := range fields {
		names = append(names, n)
		if f.secret() {
			names = append(names, n+"_FILE")
		}
	}
	slices.Sort(names)
	if hint := nearest(name, names); hint != "" {
		b.problems = append(b.problems, Problem{At: name, Text: "unknown environment variable; did you mean " + hint + "?"})
	}
}

func (b *binder) flags(root reflect.Value, set []string) {
	for _, kv := range set {
		path, value, ok := strings.Cut(kv, "=")
		at := "--set " + path
		if !ok {
			b.problems = append(b.problems, Problem{At: at, Text: "expected key=value"})
			continue
		}
		i := slices.IndexFunc(leaves(root, ""), func(f field) bool { return f.path == path })
		if i < 0 {
			text := "unknown key"
			if hint := nearest(path, b.known); hint != "" {
				text += "; did you mean " + hint + "?"
			}
			b.problems = append(b.problems, Problem{At: at, Text: text})
			continue
		}
		f := leaves(root, "")[i]
		if f.secret() {
			b.problems = append(b.problems, Problem{At: at, Text: "a secret must not stand in a command line; use " + f.env() + "_FILE"})
			continue
		}
		if err := f.setText(value); err != nil {
			b.problems = append(b.problems, Problem{At: at, Text: err.Error()})
			continue
		}
		b.where[path] = at
	}
}

// secretSource is where the value of a secret is to be read.
type secretSource struct {
	field field
	value string // the secret itself (text), or the name of its file
	text  bool
	file  string
	line  int
	at    string
}

func (b *binder) readSecrets() {
	for path, s := range b.secrets {
		if !s.text {
			text, err := readSecretFile(s.value)
			if err != nil {
				b.problems = append(b.problems, Problem{File: s.file, Line: s.line, At: s.at, Text: err.Error()})
				continue
			}
			s.value = text
		}
		s.field.value.Set(reflect.ValueOf(seal.Secret(strings.TrimSpace(s.value))))
		b.where[path] = s.at
		if s.file != "" {
			b.where[path] = fmt.Sprintf("%s:%d", s.file, s.line)
		}
	}
}

func readSecretFile(path string) (string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return "", plain(err)
	}
	if st.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("%s is open to everybody (mode %04o): chmod 600 it", path, st.Mode().Perm())
	}
	text, err := readLimited(path)
	if err == nil && len(bytes.TrimSpace(text)) == 0 {
		err = fmt.Errorf("%s is empty", path)
	}
	return string(text), err
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, plain(err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, plain(err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxFile)
	}
	return text, nil
}

// plain says what is wrong with a file without naming the system call.
func plain(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%s: %w", pe.Path, pe.Err)
	}
	return err
}

// Flag is a key that has a flag of its own; all others are reached by --set.
type Flag struct{ Key, Doc string }

// Flags lists them.
func Flags() []Flag {
	var out []Flag
	for _, f := range leaves(reflect.ValueOf(&Config{}).Elem(), "") {
		if f.ownFlag() {
			out = append(out, Flag{f.path, f.tag.Get("doc")})
		}
	}
	return out
}

// FlagName returns the flag of a key: log.level becomes log-level.
func FlagName(key string) string { return strings.NewReplacer(".", "-", "_", "-").Replace(key) }

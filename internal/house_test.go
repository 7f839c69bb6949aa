// Package internal_test keeps the house in order: who may import whom, which package owns
// which table, and which SQL both engines run. docs/architecture.md draws the same picture.
package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

type source struct {
	pkg  string // import path below the module, e.g. internal/oauth/keys
	path string
	test bool
	file *ast.File
}

func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	fset := token.NewFileSet()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(filepath.ToSlash(path), "../")
		if d.IsDir() {
			if slices.Contains([]string{"third_party", "node_modules", ".cache", ".git", "signet-data"}, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		list = append(list, source{filepath.ToSlash(filepath.Dir(rel)), rel, strings.HasSuffix(path, "_test.go"), f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func imports(f *ast.File) []string {
	var out []string
	for _, s := range f.Imports {
		p, _ := strconv.Unquote(s.Path.Value)
		out = append(out, p)
	}
	return out
}

func within(pkg, dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }

// rank orders the layers: a package imports only lower ranks, or its own layer where noted.
func rank(pkg string) (int, bool) {
	switch {
	case within(pkg, "cmd"):
		return 7, true
	case within(pkg, "internal/app"):
		return 6, true
	case within(pkg, "internal/config"), within(pkg, "internal/sampleapp"):
		return 5, true
	case within(pkg, "internal/server"):
		return 4, true
	case within(pkg, "internal/signin"):
		return 3, true
	case within(pkg, "internal/identity"), within(pkg, "internal/oauth"):
		return 2, true
	case within(pkg, "internal/platform"):
		return 1, true
	case within(pkg, "migrations"), within(pkg, "web"):
		return 0, true
	}
	return 0, false
}

func TestImports_PointOnlyToTheRight(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		from, known := rank(s.pkg)
		if !known {
			continue
		}
		for _, imp := range imports(s.file) {
			to, own := strings.CutPrefix(imp, "signet/")
			if !own {
				continue
			}
			r, known := rank(to)
			switch {
			case !known:
				t.Errorf("%s imports %s, which stands in no layer", s.path, imp)
			case r > from:
				t.Errorf("%s imports %s: against the direction cmd → app → server → signin → identity|oauth → platform", s.path, imp)
			case within(s.pkg, "internal/identity") && within(to, "internal/oauth"),
				within(s.pkg, "internal/oauth") && within(to, "internal/identity"):
				t.Errorf("%s imports %s: the two halves meet only in signin", s.path, imp)
			case within(to, "internal/config") && !within(s.pkg, "cmd") && !within(s.pkg, "internal/app") && !within(s.pkg, "internal/config"):
				t.Errorf("%s imports %s: only cmd and app read the configuration", s.path, imp)
			case within(s.pkg, "internal/sampleapp"):
				t.Errorf("%s imports %s: the sample application is a relying party like any other", s.path, imp)
			}
		}
	}
}

func TestImports_OneDoorPerLibrary(t *testing.T) {
	t.Parallel()
	doors := map[string][]string{
		"github.com/ory/fosite":         {"internal/oauth"},
		"github.com/jackc/pgx":          {"internal/platform/store/pg", "bench"},
		"modernc.org/sqlite":            {"internal/platform/store/sqlite", "bench"},
		"github.com/go-jose/go-jose/v3": {},
		"net/smtp":                      {},
		"github.com/wneessen/go-mail":   {"internal/platform/mail"},
		"github.com/go-webauthn":        {"internal/identity/passkey"},
		"github.com/emersion/go-smtp":   {"internal/platform/mail/mailtest"},
	}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, imp := range imports(s.file) {
			for lib, allowed := range doors {
				if !within(imp, lib) {
					continue
				}
				ok := false
				for _, a := range allowed {
					ok = ok || s.pkg == a || (a == "bench" && within(s.pkg, a))
				}
				if !ok {
					t.Errorf("%s imports %s: only %v may", s.path, imp, allowed)
				}
			}
		}
	}
}

func TestSource_NoAmbientTimeOrClient(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test || !within(s.pkg, "internal") || within(s.pkg, "internal/sampleapp") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			switch x.Name + "." + sel.Sel.Name {
			case "http.DefaultClient", "http.Get", "http.Post", "http.PostForm":
				t.Errorf("%s uses %s.%s: outbound requests go through platform/fetch", s.path, x.Name, sel.Sel.Name)
			case "fmt.Print", "fmt.Println", "fmt.Printf":
				t.Errorf("%s uses %s.%s: internal packages do not print", s.path, x.Name, sel.Sel.Name)
			}
			return true
		})
	}
}

var (
	reTable  = regexp.MustCompile(`(?i)\b(?:FROM|JOIN|INTO|UPDATE)\s+([a-z_]+)`)
	reCreate = regexp.MustCompile(`(?m)^CREATE TABLE ([a-z_]+)`)
	reBanned = regexp.MustCompile(`(?i)\bnow\(\)|\bILIKE\b|\bFOR UPDATE\b|\bINTERVAL\b|->>|\bSELECT \*|::`)
)

// sqlConstants yields every string constant that is a statement: by our convention its name
// begins with sql.
func sqlConstants(s source, yield func(name, text string)) {
	for _, d := range s.file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range g.Specs {
			v, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			for i, name := range v.Names {
				if i >= len(v.Values) || !strings.HasPrefix(name.Name, "sql") {
					continue
				}
				var text strings.Builder
				ast.Inspect(v.Values[i], func(n ast.Node) bool {
					if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
						u, _ := strconv.Unquote(lit.Value)
						text.WriteString(u)
					}
					return true
				})
				yield(name.Name, text.String())
			}
		}
	}
}

func TestSQL_SubsetAndOneOwnerPerTable(t *testing.T) {
	t.Parallel()
	tables := map[string]string{} // table → owner
	owners := map[string]bool{}
	files, _ := filepath.Glob("../migrations/*.sql")
	for _, f := range files {
		text := readFile(t, f)
		for _, m := range reCreate.FindAllStringSubmatch(text, -1) {
			tables[m[1]] = ""
		}
	}
	if len(tables) < 10 {
		t.Fatalf("found only %d tables", len(tables))
	}
	seen := 0
	for _, s := range sources(t) {
		if s.test || !within(s.pkg, "internal") || within(s.pkg, "internal/platform/store") {
			continue
		}
		sqlConstants(s, func(name, text string) {
			seen++
			if m := reBanned.FindString(text); m != "" {
				t.Errorf("%s: %s uses %q, which is outside the common subset (migrations/README.md)", s.path, name, m)
			}
			for _, m := range reTable.FindAllStringSubmatch(text, -1) {
				owner, isTable := tables[m[1]]
				switch {
				case !isTable:
				case owner == "":
					tables[m[1]] = s.pkg
					owners[s.pkg] = true
				case owner != s.pkg:
					t.Errorf("%s: %s names table %s, which belongs to %s", s.path, name, m[1], owner)
				}
			}
		})
	}
	if seen < 20 {
		t.Errorf("found only %d SQL constants", seen)
	}
	for table, owner := range tables {
		if owner == "" && table != "change_counter" {
			t.Errorf("no package's SQL names table %s", table)
		}
	}
}

var (
	reAlter = regexp.MustCompile(`(?m)^ALTER TABLE ([a-z_]+)`)
	reIndex = regexp.MustCompile(`(?m)^CREATE (?:UNIQUE )?INDEX [a-z_]+ ON ([a-z_]+)`)
)

// An altered table shuts readers out until its migration ends (Postgres), and an index takes its time: they do
// not wait for those of other tables.
func TestMigrations_NobodyWaitsForOtherIndexes(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("../migrations/*.sql")
	looked := 0
	for _, f := range files {
		text := readFile(t, f)
		first := reAlter.FindStringIndex(text)
		if first == nil || filepath.Base(f) < "0004" { // the others are released
			continue
		}
		looked++
		own := []string{}
		for _, re := range []*regexp.Regexp{reAlter, reCreate} {
			for _, m := range re.FindAllStringSubmatch(text, -1) {
				own = append(own, m[1])
			}
		}
		for _, m := range reIndex.FindAllStringSubmatch(text[first[0]:], -1) {
			if !slices.Contains(own, m[1]) {
				t.Errorf("%s: who reads an altered table waits for the index of %s", f, m[1])
			}
		}
	}
	if looked == 0 {
		t.Error("found no migration that alters a table")
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

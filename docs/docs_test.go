// Package docs_test keeps the documents true: every package stands in the architecture's
// list, every direct dependency has its line, every decision is in the index, and links
// between files lead somewhere.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var skipped = []string{".git", ".cache", "node_modules", "third_party", "signet-data", "artifacts", "testdata"}

func walk(t *testing.T, suffix string, visit func(rel string)) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains(skipped, d.Name()) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, suffix) {
			visit(strings.TrimPrefix(filepath.ToSlash(path), "../"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestArchitecture_ListsEveryPackageOnce(t *testing.T) {
	t.Parallel()
	text := read(t, "architecture.md")
	packages := map[string]bool{}
	walk(t, ".go", func(rel string) {
		if !strings.HasSuffix(rel, "_test.go") {
			packages[filepath.ToSlash(filepath.Dir(rel))] = true
		}
	})
	line := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| .{10,}\\|$")
	listed := map[string]int{}
	for _, m := range line.FindAllStringSubmatch(text, -1) {
		listed[m[1]]++
	}
	for p := range packages {
		if listed[p] != 1 {
			t.Errorf("architecture.md lists package %s %d times, want once with one line", p, listed[p])
		}
	}
	for p := range listed {
		if !packages[p] {
			t.Errorf("architecture.md lists %s, which is not a package", p)
		}
	}
}

func TestDependencies_EachDirectOneHasItsLine(t *testing.T) {
	t.Parallel()
	text := read(t, "dependencies.md")
	direct := regexp.MustCompile(`(?m)^\s*(?:require )?([a-z0-9./-]+\.[a-z]+/[^\s]+) v[^\s]+$`)
	found := 0
	for _, m := range direct.FindAllStringSubmatch(read(t, "../go.mod"), -1) {
		found++
		if !strings.Contains(text, "| `"+m[1]+"` |") {
			t.Errorf("dependencies.md has no line for %s", m[1])
		}
	}
	if found < 8 {
		t.Errorf("found only %d direct dependencies in go.mod", found)
	}
}

func TestDecisions_AllInTheIndex(t *testing.T) {
	t.Parallel()
	index := read(t, "decisions/README.md")
	files, err := filepath.Glob("decisions/0*.md")
	if err != nil || len(files) == 0 {
		t.Fatal("no decisions", err)
	}
	for _, f := range files {
		if !strings.Contains(index, "("+filepath.Base(f)+")") {
			t.Errorf("%s is not in the index", f)
		}
	}
}

func TestLinks_LeadSomewhere(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)]*)?\)`)
	walk(t, ".md", func(rel string) {
		for _, m := range link.FindAllStringSubmatch(read(t, filepath.Join("..", rel)), -1) {
			target := filepath.Join("..", filepath.Dir(rel), m[1])
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which does not exist", rel, m[1])
			}
		}
	})
}

// The README's snippets are parts of files that its commands run.
func TestReadme_SnippetsAreTheFiles(t *testing.T) {
	t.Parallel()
	text := read(t, "../README.md")
	for lang, file := range map[string]string{"go": "main.go", "python": "verify.py", "js": "verify.mjs"} {
		_, rest, found := strings.Cut(text, "```"+lang+"\n")
		snippet, _, closed := strings.Cut(rest, "```")
		if !found || !closed {
			t.Errorf("README.md has no %s snippet", lang)
			continue
		}
		source := read(t, "../examples/verify/"+file)
		for _, line := range strings.Split(strings.TrimSpace(snippet), "\n") {
			if !strings.Contains(source, strings.TrimSpace(line)) {
				t.Errorf("examples/verify/%s has no line %q of the README", file, line)
			}
		}
	}
}

// Security cases and fosite's traps: every test that the documents name exists, and every case
// that code names is in the documents.
func TestCases_NamedTestsExist(t *testing.T) {
	t.Parallel()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	exists := map[string]bool{}
	cases := map[string]string{} // id → where code names it
	id := regexp.MustCompile(`\b[A-Z]{2}-\d{2}\b`)
	walk(t, ".go", func(rel string) {
		text := read(t, filepath.Join("..", rel))
		for _, m := range declared.FindAllStringSubmatch(text, -1) {
			exists[m[1]] = true
		}
		for _, line := range strings.Split(text, "\n") {
			if strings.Contains(line, "//") {
				for _, m := range id.FindAllString(line, -1) {
					cases[m] = rel
				}
			}
		}
	})
	security := read(t, "security-cases.md")
	for _, file := range []string{"security-cases.md", "fosite.md"} {
		names := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(read(t, file), -1)
		if len(names) < 20 {
			t.Errorf("%s names only %d tests", file, len(names))
		}
		for _, m := range names {
			if !exists[m[1]] {
				t.Errorf("%s names %s, which does not exist", file, m[1])
			}
		}
	}
	for c, where := range cases {
		if !strings.Contains(security, "| "+c+" |") {
			t.Errorf("%s names case %s, which security-cases.md lacks", where, c)
		}
	}
}

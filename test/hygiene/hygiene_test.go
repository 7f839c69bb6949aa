package hygiene_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// files are the repository's files: what git tracks and what it would.
func files(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-co", "--exclude-standard", "-z")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	var list []string
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if info, err := os.Lstat(filepath.Join(root, name)); err == nil && info.Mode().IsRegular() {
			list = append(list, name)
		}
	}
	if len(list) < 100 {
		t.Fatalf("only %d files found", len(list))
	}
	return list
}

// Written in pieces, so that this file does not find itself.
var forbidden = map[string]*regexp.Regexp{
	"a package registry's host": regexp.MustCompile(`(?i)(registry` + `\.npmjs|registry` + `\.yarnpkg|pypi` + `\.org|pythonhosted` + `\.org|proxy\.golang` + `\.org|sum\.golang` + `\.org|deb\.debian` + `\.org|crates` + `\.io|repo1?\.maven)`),
	"a path of one machine":     regexp.MustCompile(`(?:^|[\s"'` + "`" + `=(:])/(?:ho` + `me|Us` + `ers|ro` + `ot|wo` + `rk)/[A-Za-z0-9._-]`),
	"an npm download address":   regexp.MustCompile(`"reso` + `lved"\s*:\s*"http`),
}

func TestFiles_NameNoRegistryAndNoMachine(t *testing.T) {
	t.Parallel()
	for _, name := range files(t) {
		if strings.HasPrefix(name, "third_party/") || strings.HasSuffix(name, "go.sum") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(text, 0) >= 0 {
			continue // not text
		}
		for n, line := range strings.Split(string(text), "\n") {
			for what, pattern := range forbidden {
				if found := pattern.FindString(line); found != "" {
					t.Errorf("%s:%d holds %s: %s", name, n+1, what, found)
				}
			}
		}
	}
}

func TestFiles_LockFilesPinContentsNotAddresses(t *testing.T) {
	t.Parallel()
	found := 0
	for _, name := range files(t) {
		if filepath.Base(name) != "package-lock.json" {
			continue
		}
		found++
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		var lock struct {
			Packages map[string]struct{ Integrity, Resolved string }
		}
		if err := json.Unmarshal(text, &lock); err != nil {
			t.Fatal(err)
		}
		for pkg, entry := range lock.Packages {
			if pkg == "" {
				continue
			}
			if entry.Integrity == "" || entry.Resolved != "" {
				t.Errorf("%s: %s has integrity %q and address %q", name, pkg, entry.Integrity, entry.Resolved)
			}
		}
	}
	if found == 0 {
		t.Error("no package-lock.json found")
	}
}

// A script without the mode bit works for whoever wrote it and fails on a fresh clone.
func TestFiles_ScriptsAreExecutable(t *testing.T) {
	t.Parallel()
	for _, name := range files(t) {
		path := filepath.Join(root, name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(text, []byte("#!")) && info.Mode()&0o100 == 0 {
			t.Errorf("%s begins with #! and is not executable", name)
		}
	}
}

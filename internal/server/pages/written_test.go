package pages

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// With SIGNET_SAMPLES set to a folder, every sample is written there as the browser would get it,
// for test/browser/samples.test.mjs to look at: states that a journey seldom shows are seen too.
func TestSamples_Written(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("SIGNET_SAMPLES")
	if dir == "" {
		dir = t.TempDir()
	}
	p := testPages(t)
	n := 0
	for _, tag := range tagNames() {
		for _, s := range samples(t, p, tag) {
			w, _ := renderSample(t, p, s)
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s.%s.html", s.name, tag)), w.Body.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	for name, f := range p.files.files {
		if err := os.WriteFile(filepath.Join(dir, name), f.plain, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	written, err := filepath.Glob(filepath.Join(dir, "*.html"))
	if err != nil || len(written) != n {
		t.Errorf("%d files for %d samples: two samples share a name (%v)", len(written), n, err)
	}
}

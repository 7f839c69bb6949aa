package pages

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPreview(t *testing.T) {
	dir := os.Getenv("PREVIEW")
	if dir == "" {
		t.SkipNow()
	}
	p := testPages(t)
	for _, tag := range tagNames() {
		for _, s := range samples(t, p, tag) {
			w := httptest.NewRecorder()
			if err := p.render(w, s.status, s.page, s.view); err != nil {
				t.Fatal(err)
			}
			html := strings.ReplaceAll(strings.ReplaceAll(w.Body.String(), p.files.css, "signet.css"), p.files.js, "signet.js")
			html = strings.ReplaceAll(html, "data-autosubmit", "")
			html = strings.ReplaceAll(html, ` type="module"`, ` defer`)
			os.WriteFile(filepath.Join(dir, s.name+"-"+tag+".html"), []byte(html), 0o644)
		}
	}
}

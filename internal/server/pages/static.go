package pages

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	stdpath "path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"signet/internal/platform/errs"
	"signet/web"
)

// static serves the style sheet and the script under names that hold a hash of their content,
// so that browsers may keep them for ever. Both forms, plain and compressed, are made at start.
// The operator's logo is served the same way.
type static struct {
	css, js     string // the paths for pages
	send        string // of the script that sends an answer as a form
	logo, night string // "" without one
	files       map[string]*file
}

type file struct {
	kind        string
	plain, gzip []byte // gzip is nil where it would not be smaller
	image       bool
}

func loadStatic(b *brand) (*static, error) {
	s := &static{files: map[string]*file{}}
	for name, kind := range map[string]string{
		"signet.css": "text/css; charset=utf-8",
		"signet.js":  "text/javascript; charset=utf-8",
	} {
		ext := stdpath.Ext(name)
		data, err := joined(ext)
		if err != nil {
			return nil, err
		}
		data = uncommented(ext, data)
		if ext == ".css" {
			data = append(data, b.css...)
		}
		path, err := s.add(strings.TrimSuffix(name, ext), ext, &file{kind: kind, plain: data})
		if err != nil {
			return nil, err
		}
		if ext == ".css" {
			s.css = path
		} else {
			s.js = path
		}
	}
	data, err := fs.ReadFile(web.Files, "static/classic/send.js")
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	if s.send, err = s.add("send", ".js", &file{kind: "text/javascript; charset=utf-8", plain: uncommented(".js", data)}); err != nil {
		return nil, err
	}
	for _, one := range []struct {
		logo *logo
		path *string
	}{{b.logo, &s.logo}, {b.night, &s.night}} {
		if one.logo == nil {
			continue
		}
		var err error
		if *one.path, err = s.add("logo", one.logo.ext, &file{kind: one.logo.kind, plain: one.logo.data, image: true}); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// add takes a file in under a name with its hash and returns its path.
func (s *static) add(name, ext string, f *file) (string, error) {
	var small bytes.Buffer
	z, _ := gzip.NewWriterLevel(&small, gzip.BestCompression) // the level is valid
	if _, err := z.Write(f.plain); err != nil {
		return "", fmt.Errorf("pages: %s: %w", name, err)
	}
	if err := z.Close(); err != nil {
		return "", fmt.Errorf("pages: %s: %w", name, err)
	}
	if small.Len() < len(f.plain) {
		f.gzip = small.Bytes()
	}
	sum := sha256.Sum256(f.plain)
	hashed := name + "." + hex.EncodeToString(sum[:6]) + ext
	s.files[hashed] = f
	return "/static/" + hashed, nil
}

var (
	cssComment = regexp.MustCompile(`(?s)/\*.*?\*/\s*`)
	jsComment  = regexp.MustCompile(`(?m)^\s*//.*\n`)
	indent     = regexp.MustCompile(`(?m)^[ \t]+`)
)

// uncommented drops comments, which are for readers of the source, and indentation. Our files
// hold neither a comment's mark nor a line's beginning within a string; a test sees to it.
func uncommented(ext string, data []byte) []byte {
	if ext == ".css" {
		data = cssComment.ReplaceAll(data, nil)
	} else {
		data = jsComment.ReplaceAll(data, nil)
	}
	return indent.ReplaceAll(data, nil)
}

// joined is every file of a kind as one, in the order of their names: one request fetches them all.
// Each script keeps its names to itself in a block.
func joined(ext string) ([]byte, error) {
	names, err := fs.Glob(web.Files, "static/*"+ext)
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	var all bytes.Buffer
	for _, name := range names {
		data, err := fs.ReadFile(web.Files, name)
		if err != nil {
			return nil, fmt.Errorf("pages: %w", err)
		}
		if ext == ".js" {
			data = slices.Concat([]byte("{\n"), data, []byte("}\n"))
		}
		all.Write(data)
	}
	return all.Bytes(), nil
}

func (s *static) serve(w http.ResponseWriter, r *http.Request) error {
	f := s.files[r.PathValue("file")]
	if f == nil {
		return errs.New(errs.NotFound, "", nil)
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	if f.image { // opened by its address, an SVG is a document
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'")
	}
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := f.plain
	if f.gzip != nil && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body = f.gzip
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, err := w.Write(body)
	return err
}

// acceptsGzip reads Accept-Encoding as far as two answers need it (RFC 9110 §12.5.3).
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		q, _ := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		return strings.Trim(q, "0.") != "" || params == ""
	}
	return false
}

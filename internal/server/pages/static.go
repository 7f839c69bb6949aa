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
	"slices"
	"strconv"
	"strings"

	"signet/internal/platform/errs"
	"signet/web"
)

// static serves the style sheet and the script under names that hold a hash of their content,
// so that browsers may keep them for ever. Both forms, plain and compressed, are made at start.
type static struct {
	css, js string // the paths for pages
	files   map[string]*file
}

type file struct {
	kind        string
	plain, gzip []byte
}

func loadStatic() (*static, error) {
	s := &static{files: map[string]*file{}}
	for name, kind := range map[string]string{
		"signet.css": "text/css; charset=utf-8",
		"signet.js":  "text/javascript; charset=utf-8",
	} {
		data, err := joined(stdpath.Ext(name))
		if err != nil {
			return nil, err
		}
		var small bytes.Buffer
		z, _ := gzip.NewWriterLevel(&small, gzip.BestCompression) // the level is valid
		if _, err := z.Write(data); err != nil {
			return nil, fmt.Errorf("pages: %s: %w", name, err)
		}
		if err := z.Close(); err != nil {
			return nil, fmt.Errorf("pages: %s: %w", name, err)
		}
		sum := sha256.Sum256(data)
		ext := stdpath.Ext(name)
		hashed := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		s.files[hashed] = &file{kind: kind, plain: data, gzip: small.Bytes()}
		if ext == ".css" {
			s.css = "/static/" + hashed
		} else {
			s.js = "/static/" + hashed
		}
	}
	return s, nil
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
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := f.plain
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
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

package pages

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"signet/internal/platform/picture"
)

// Limits of an operator's logo. What is served is small whatever the file was: a PNG is scaled
// down to what the pages show (twice, for dense screens), an SVG has to be small itself.
const (
	maxLogoFile   = 4 << 20
	maxLogoSVG    = 32 << 10
	maxLogoPixels = 4096 // per side, of the file
	logoHeight    = 64   // pixels that are served
	logoWidth     = 480
)

// wordmark is the proportion from which a logo is taken to hold the name in letters: then the
// name is not written beside it.
const wordmark = 1.8

// logo is an operator's image as it is served.
type logo struct {
	ext, kind string
	data      []byte
	ratio     float64 // width to height
}

// word reports whether the logo stands for the name.
func (l *logo) word() bool { return l.ratio >= wordmark }

// width is how wide the logo is shown, in CSS pixels, at the height that it has on every page.
func (l *logo) width() int {
	const height, most = 32, 240
	return min(most, max(1, int(math.Round(l.ratio*height))))
}

func loadLogo(path string) (*logo, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxLogoFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxLogoFile {
		return nil, fmt.Errorf("%s is larger than %d MB", path, maxLogoFile>>20)
	}
	l, err := readLogo(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

// readLogo looks at the content, not at the name of the file.
func readLogo(data []byte) (*logo, error) {
	if bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")) {
		return readPNG(data)
	}
	return readSVG(data)
}

// readPNG decodes and encodes anew: nothing but pixels comes through.
func readPNG(data []byte) (*logo, error) {
	out, err := picture.Shrink(data, maxLogoPixels, logoWidth, logoHeight)
	if err != nil {
		return nil, err
	}
	return &logo{ext: ".png", kind: "image/png", data: out.Data, ratio: out.Ratio}, nil
}

// What an SVG may hold. It is shown as an image, where browsers run and load nothing; who opens
// its address meets a policy that forbids both. This list is the third lock.
var svgElements = words(`svg g path rect circle ellipse line polyline polygon defs linearGradient radialGradient stop
	clipPath mask use symbol title desc metadata text tspan style filter feGaussianBlur feOffset feBlend feColorMatrix
	feComposite feFlood feMerge feMergeNode pattern`)

func words(s string) map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq(s) {
		out[w] = true
	}
	return out
}

var errSVG = errors.New("is neither PNG nor SVG")

func readSVG(data []byte) (*logo, error) {
	if len(data) > maxLogoSVG {
		return nil, fmt.Errorf("an SVG may have at most %d kB; this has %d", maxLogoSVG>>10, (len(data)+1023)>>10)
	}
	d := xml.NewDecoder(bytes.NewReader(data))
	l := &logo{ext: ".svg", kind: "image/svg+xml", data: data}
	style := false
	for depth := 0; ; {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF) && l.ratio > 0 && depth == 0:
			return l, nil
		case err != nil:
			return nil, errSVG
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth == 0 {
				if t.Name.Local != "svg" || l.ratio > 0 {
					return nil, errSVG
				}
				if l.ratio = svgRatio(t); l.ratio <= 0 {
					return nil, errors.New("the svg element has no viewBox, nor width and height")
				}
			}
			depth++
			style = t.Name.Local == "style"
			if err := svgElement(t); err != nil {
				return nil, err
			}
		case xml.EndElement:
			depth, style = depth-1, false
		case xml.CharData:
			if style && foreignCSS(string(t)) {
				return nil, errors.New("its style sheet refers to something outside of the file")
			}
		case xml.Directive:
			if bytes.ContainsRune(t, '[') {
				return nil, errors.New("declares entities, which a logo does not need")
			}
		case xml.ProcInst:
			if t.Target != "xml" {
				return nil, fmt.Errorf("has a %s instruction, which a logo does not need", t.Target)
			}
		}
	}
}

func svgElement(t xml.StartElement) error {
	// Drawing programs leave notes of their own in other name spaces; nothing shows them.
	const svg = "http://www.w3.org/2000/svg"
	if t.Name.Space == svg && !svgElements[t.Name.Local] || t.Name.Space == "http://www.w3.org/1999/xhtml" {
		return fmt.Errorf("has a %s element, which a logo may not have", t.Name.Local)
	}
	if t.Name.Space == "" {
		return errors.New(`the svg element lacks xmlns="` + svg + `"`)
	}
	for _, a := range t.Attr {
		name := strings.ToLower(a.Name.Local)
		switch {
		case strings.HasPrefix(name, "on"):
			return fmt.Errorf("has an %s attribute, which a logo may not have", a.Name.Local)
		case (name == "href" || name == "src") && !strings.HasPrefix(a.Value, "#"):
			return errors.New("refers to something outside of the file")
		case a.Name.Space != "xmlns" && name != "xmlns" && foreignCSS(a.Value):
			return errors.New("refers to something outside of the file")
		}
	}
	return nil
}

// foreignCSS finds what a style could fetch: imports, and url() of anything but the file's own parts.
func foreignCSS(s string) bool {
	s = strings.ToLower(s)
	if strings.Contains(s, "@import") || strings.Contains(s, `\`) || strings.Contains(s, "image-set") {
		return true
	}
	for {
		_, rest, found := strings.Cut(s, "url(")
		if !found {
			return false
		}
		if s = strings.TrimLeft(rest, " \t\n\"'"); !strings.HasPrefix(s, "#") {
			return true
		}
	}
}

// svgRatio is the proportion that the root element declares.
func svgRatio(t xml.StartElement) float64 {
	size := func(s string) float64 {
		n, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(s), "px"), 64)
		if err != nil || n <= 0 || n > 1e6 {
			return 0
		}
		return n
	}
	var width, height float64
	for _, a := range t.Attr {
		switch a.Name.Local {
		case "viewBox":
			box := strings.FieldsFunc(a.Value, func(r rune) bool { return r == ' ' || r == ',' })
			if len(box) == 4 && size(box[2]) > 0 && size(box[3]) > 0 {
				return size(box[2]) / size(box[3])
			}
		case "width":
			width = size(a.Value)
		case "height":
			height = size(a.Value)
		}
	}
	if width == 0 || height == 0 {
		return 0
	}
	return width / height
}

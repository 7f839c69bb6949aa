package pages

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// rgb is a colour in sRGB, each channel from 0 to 1.
type rgb [3]float64

var (
	white = rgb{1, 1, 1}
	black = rgb{0, 0, 0}
)

// parseColor reads #rgb or #rrggbb.
func parseColor(s string) (rgb, error) {
	digits, ok := strings.CutPrefix(s, "#")
	if len(digits) == 3 {
		digits = string([]byte{digits[0], digits[0], digits[1], digits[1], digits[2], digits[2]})
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if !ok || len(digits) != 6 || err != nil {
		return rgb{}, fmt.Errorf("%q is not a colour such as #2a47b8", s)
	}
	return rgb{float64(n>>16) / 255, float64(n>>8&0xff) / 255, float64(n&0xff) / 255}, nil
}

func (c rgb) String() string {
	at := func(i int) int { return int(math.Round(c[i] * 255)) }
	return fmt.Sprintf("#%02x%02x%02x", at(0), at(1), at(2))
}

// mix is c with a share of other in it, as color-mix(in srgb, other share, c).
func (c rgb) mix(other rgb, share float64) rgb {
	for i := range c {
		c[i] += (other[i] - c[i]) * share
	}
	return c
}

// luminance is WCAG 2.2's relative luminance.
func (c rgb) luminance() float64 {
	linear := func(v float64) float64 {
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c[0]) + 0.7152*linear(c[1]) + 0.0722*linear(c[2])
}

// contrast is WCAG 2.2's contrast ratio, from 1 to 21.
func contrast(a, b rgb) float64 {
	l, m := a.luminance(), b.luminance()
	return (max(l, m) + 0.05) / (min(l, m) + 0.05)
}

// ink is white or black, whichever reads better on c. One of them always has at least 4.5:1:
// the two meet at √(1.05 · 0.05), which gives 4.58.
func ink(c rgb) rgb {
	if contrast(white, c) >= contrast(black, c) {
		return white
	}
	return black
}

// scheme is one of the two sets of colours that the style sheet declares.
type scheme struct {
	name     string
	surfaces []rgb // whatever text may stand on
	toward   rgb   // where a colour gains contrast
}

// declared finds the colours of the style sheet's :root, each for light and for dark.
var declared = regexp.MustCompile(`--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)`)

// schemes reads the surfaces from the style sheet, so that they are written down once.
func schemes(css string) ([2]scheme, error) {
	out := [2]scheme{{name: "light", toward: black}, {name: "dark", toward: white}}
	for _, m := range declared.FindAllStringSubmatch(css, -1) {
		if m[1] != "ground" && m[1] != "surface" && m[1] != "sunken" {
			continue
		}
		for i := range out {
			c, err := parseColor(m[2+i])
			if err != nil {
				return out, err
			}
			out[i].surfaces = append(out[i].surfaces, c)
		}
	}
	if len(out[0].surfaces) != 3 {
		return out, fmt.Errorf("pages: the style sheet declares %d of three surfaces", len(out[0].surfaces))
	}
	return out, nil
}

// least is the contrast of c with the surface that suits it worst. With a tint, surfaces tinted
// with c itself count as well, as under the initial of a person.
func (s scheme) least(c rgb, tint float64) float64 {
	worst := math.Inf(1)
	for _, surface := range s.surfaces {
		worst = min(worst, contrast(c, surface), contrast(c, surface.mix(c, tint)))
	}
	return worst
}

// reach returns c, or the nearest colour on its way to black or white that has the contrast
// wanted on every surface of the scheme.
func (s scheme) reach(c rgb, wanted, tint float64) rgb {
	for share := 0.0; share < 1; share += 0.01 {
		if m := c.mix(s.toward, share); s.least(m, tint) >= wanted {
			return m
		}
	}
	return s.toward
}

// accent is what an operator's colour becomes in one scheme.
type accent struct{ text, button, ink, edge, hover rgb }

// Contrast that WCAG 2.2 asks for: text (1.4.3), and edges and states of controls (1.4.11).
const (
	textContrast = 4.5
	edgeContrast = 3.0
	tintShare    = 0.16 // of .face, see the style sheet
)

// accentOf keeps the colour where it can: buttons are filled with it as it is, with the ink that
// reads on it and an edge that is seen; links and focus rings use what is nearest to it and
// reads on every surface.
func accentOf(c rgb, s scheme) accent {
	a := accent{text: s.reach(c, textContrast, tintShare), button: c, ink: ink(c), edge: s.reach(c, edgeContrast, 0)}
	away := black // from the ink, so that hovering only adds contrast
	if a.ink == black {
		away = white
	}
	a.hover = c.mix(away, 0.14)
	return a
}

// accentCSS is the rule that replaces the style sheet's own accent.
func accentCSS(light, dark accent) string {
	var b strings.Builder
	b.WriteString(":root{")
	for _, v := range []struct {
		name        string
		light, dark rgb
	}{
		{"accent", light.text, dark.text}, {"button", light.button, dark.button}, {"button-ink", light.ink, dark.ink},
		{"button-edge", light.edge, dark.edge}, {"button-hover", light.hover, dark.hover},
	} {
		fmt.Fprintf(&b, "--%s:light-dark(%s,%s);", v.name, v.light, v.dark)
	}
	b.WriteString("}\n")
	return b.String()
}

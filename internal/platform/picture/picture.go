// Package picture turns images that somebody else made into small PNGs of our own: limits before
// the decoder, pixels only afterwards. What an image carries besides (comments, profiles, other
// formats in its tail) does not come through. internal/oauth/client copies the logos of applications
// with it, internal/server/pages that of the operator.
package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // decoders that Decode knows
	_ "image/jpeg"
	"image/png"
)

// slots are decoders at work: together they take at most a few times the memory of the largest image.
var slots = make(chan struct{}, 2)

// PNG is an image as it is served.
type PNG struct {
	Data  []byte
	Ratio float64 // width to height, of the original
}

var errImage = errors.New("is not a PNG, JPEG or GIF image")

// Shrink decodes an image of at most side pixels per side and encodes it anew, no larger than width
// and height. A file of a few hundred bytes can claim any size, and each pixel takes four bytes.
func Shrink(data []byte, side, width, height int) (PNG, error) {
	slots <- struct{}{}
	defer func() { <-slots }()
	conf, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return PNG{}, errImage
	}
	if conf.Width < 1 || conf.Height < 1 || conf.Width > side || conf.Height > side {
		return PNG{}, fmt.Errorf("has %d × %d pixels; at most %d × %d", conf.Width, conf.Height, side, side)
	}
	img, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return PNG{}, errImage
	}
	shrink := max(1, float64(conf.Height)/float64(height), float64(conf.Width)/float64(width))
	small := scaled(img, max(1, int(float64(conf.Width)/shrink)), max(1, int(float64(conf.Height)/shrink)))
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small); err != nil {
		return PNG{}, err
	}
	return PNG{Data: out.Bytes(), Ratio: float64(conf.Width) / float64(conf.Height)}, nil
}

// scaled makes an image smaller; each pixel is the mean of those it stands for.
func scaled(img image.Image, width, height int) image.Image {
	from := img.Bounds()
	out := image.NewNRGBA(image.Rect(0, 0, width, height))
	span := func(i, n, min, size int) (int, int) {
		lo, hi := min+i*size/n, min+(i+1)*size/n
		return lo, max(hi, lo+1)
	}
	for y := range height {
		y0, y1 := span(y, height, from.Min.Y, from.Dy())
		for x := range width {
			x0, x1 := span(x, width, from.Min.X, from.Dx())
			var sum [4]uint64
			for v := y0; v < y1; v++ {
				for u := x0; u < x1; u++ {
					r, g, b, a := img.At(u, v).RGBA() // premultiplied, so that clear pixels carry no colour
					for i, c := range [4]uint32{r, g, b, a} {
						sum[i] += uint64(c)
					}
				}
			}
			n := uint64((y1 - y0) * (x1 - x0))
			out.Set(x, y, color.RGBA64{uint16(sum[0] / n), uint16(sum[1] / n), uint16(sum[2] / n), uint16(sum[3] / n)})
		}
	}
	return out
}

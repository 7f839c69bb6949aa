package picture

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"
)

func sample(t testing.TB, width, height int, encode func(*bytes.Buffer, image.Image) error) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for x := range width {
		for y := range height {
			img.Set(x, y, color.NRGBA{uint8(x), uint8(y), 80, 255})
		}
	}
	var b bytes.Buffer
	if err := encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(b *bytes.Buffer, m image.Image) error  { return png.Encode(b, m) }
func asJPEG(b *bytes.Buffer, m image.Image) error { return jpeg.Encode(b, m, nil) }
func asGIF(b *bytes.Buffer, m image.Image) error  { return gif.Encode(b, m, nil) }

// Security case IJ-06: what comes out is a small PNG, whatever went in, and nothing but pixels.
func TestShrink_PixelsOnly(t *testing.T) {
	t.Parallel()
	for name, encode := range map[string]func(*bytes.Buffer, image.Image) error{"png": asPNG, "jpeg": asJPEG, "gif": asGIF} {
		in := append(sample(t, 200, 100, encode), "<script>alert(1)</script>"...)
		out, err := Shrink(in, 512, 64, 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if bytes.Contains(out.Data, []byte("script")) || out.Ratio != 2 {
			t.Errorf("%s: ratio %v, or the tail came through", name, out.Ratio)
		}
		img, err := png.Decode(bytes.NewReader(out.Data))
		if err != nil || img.Bounds().Dx() != 64 || img.Bounds().Dy() != 32 {
			t.Errorf("%s: %v, %v", name, img.Bounds(), err)
		}
	}
	if out, err := Shrink(sample(t, 3, 2, asPNG), 512, 64, 64); err != nil || out.Ratio != 1.5 {
		t.Errorf("a small image is not blown up: %v, %v", out.Ratio, err)
	}
}

// claiming is a PNG header that claims a size and has no pixels.
func claiming(width, height uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d")
	chunk := append([]byte("IHDR"), binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)...)
	chunk = append(chunk, 8, 6, 0, 0, 0)
	return binary.BigEndian.AppendUint32(append(b, chunk...), crc32.ChecksumIEEE(chunk))
}

func TestShrink_Refuses(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][]byte{
		"nothing":         nil,
		"svg":             []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`),
		"html":            []byte("<!doctype html><p>"),
		"100 000 pixels":  claiming(100_000, 100_000),
		"one side":        sample(t, 600, 1, asPNG),
		"header, no body": claiming(10, 10),
		"cut":             sample(t, 50, 50, asPNG)[:100],
	} {
		if out, err := Shrink(data, 512, 64, 64); err == nil || out.Data != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzShrink(f *testing.F) {
	f.Add(sample(f, 4, 4, asPNG))
	f.Add(sample(f, 4, 4, asJPEG))
	f.Add(sample(f, 4, 4, asGIF))
	f.Add(claiming(512, 512))
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := Shrink(data, 256, 32, 32)
		if err != nil {
			return
		}
		conf, err := png.DecodeConfig(bytes.NewReader(out.Data))
		if err != nil || conf.Width > 32 || conf.Height > 32 {
			t.Fatalf("%d × %d, %v", conf.Width, conf.Height, err)
		}
	})
}

package mfa

import (
	"fmt"
	"image/color"
	"strings"

	"github.com/boombuler/barcode/qr"

	"signet/internal/platform/seal"
)

// QR is a QR code as one path of black squares of size 1 in a field of Size × Size, quiet zone
// included (ISO/IEC 18004 §6.3.8: four modules).
type QR struct {
	Size int
	Path seal.Secret // as telling as what it encodes
}

const quiet = 4

func drawQR(text string) (QR, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return QR{}, err
	}
	width := code.Bounds().Dx()
	dark := func(x, y int) bool { return x < width && code.At(x, y) == color.Black }
	var b strings.Builder
	for y := range width {
		for x := 0; x < width; x++ {
			if !dark(x, y) {
				continue
			}
			run := 1
			for dark(x+run, y) {
				run++
			}
			fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, run, run)
			x += run
		}
	}
	return QR{Size: width + 2*quiet, Path: seal.Secret(b.String())}, nil
}

package fetch

import (
	"errors"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is a kind of document: which content types it may have and what its bytes must be. A caller
// says beforehand what it wants, so that nothing else is ever looked at.
type Kind struct {
	name   string // kinds of one name share requests
	accept string
	is     func(contentType string) bool
	check  func(body []byte) error
}

// The kinds.
var (
	JSON = Kind{"json", "application/json", isJSON, checkBody}
	// Image is a raster image that the standard library decodes. Whether it is one, who decodes it
	// finds out.
	Image = Kind{"image", strings.Join(imageTypes, ", "), isImage, checkSize}
	// JWT is a compact JWT, such as a request object (RFC 9101 §5.2.3). Many owners serve theirs as text.
	JWT  = Kind{"jwt", strings.Join(jwtTypes, ", "), isJWT, checkText}
	text = Kind{"text", "text/plain", isText, checkText}
)

var imageTypes = []string{"image/png", "image/jpeg", "image/gif"}

func isImage(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && slices.Contains(imageTypes, t)
}

var jwtTypes = []string{"application/oauth-authz-req+jwt", "application/jwt", "text/plain"}

func isJWT(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && slices.Contains(jwtTypes, t)
}

func checkSize(body []byte) error {
	if len(body) > MaxBody {
		return errors.New("the answer is too large")
	}
	return nil
}

// Document is what stood at an address.
type Document struct {
	Body []byte
	// Life is how long its owner lets it be kept, 0 where that is not said or not at all. Callers
	// have bounds of their own.
	Life time.Duration
}

// lifeOf reads Cache-Control as far as a private cache needs it (RFC 9111 §5.2.2).
func lifeOf(h http.Header) time.Duration {
	life := time.Duration(0)
	for _, line := range h.Values("Cache-Control") {
		for part := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(part)), "=")
			switch name {
			case "no-store", "no-cache":
				return 0
			case "max-age":
				if n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32); err == nil && n > 0 {
					life = time.Duration(n) * time.Second
				}
			}
		}
	}
	age, err := strconv.ParseInt(h.Get("Age"), 10, 32)
	if err == nil && age > 0 { // it has been kept by others for so long already (RFC 9111 §5.1)
		life = max(0, life-time.Duration(age)*time.Second)
	}
	return life
}

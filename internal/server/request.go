package server

import (
	"context"
	"net/http"
	"net/netip"
)

// info is what the door knows about a request; it rides in the request's context.
type info struct {
	id     string
	ip     netip.Addr
	secure bool
	route  string
	area   Area
}

type infoKey struct{}

func infoOf(ctx context.Context) *info {
	in, _ := ctx.Value(infoKey{}).(*info)
	if in == nil {
		return &info{}
	}
	return in
}

// ClientIP returns the address of the client: the peer's, or what a trusted proxy says. It is
// "" outside a request of this server.
func ClientIP(r *http.Request) string {
	if ip := infoOf(r.Context()).ip; ip.IsValid() {
		return ip.String()
	}
	return ""
}

// Secure reports whether people reach this server over https, so that cookies are Secure and
// carry the __Host- prefix. It follows the issuer, never a header.
func Secure(r *http.Request) bool { return infoOf(r.Context()).secure }

// RequestID returns the id that this server gave to the request; it finds the log line.
func RequestID(r *http.Request) string { return infoOf(r.Context()).id }

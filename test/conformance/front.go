package main

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// Where the suite is. Its name resolves to the loopback for everybody; its tools expect it.
const (
	suiteHost    = "localhost.emobix.co.uk"
	suiteURL     = "https://" + suiteHost + ":8443"
	suiteMTLSURL = "https://" + suiteHost + ":8444"
	suiteListen  = "127.0.0.1:28080" // the suite itself, plain HTTP
)

// front ends TLS for the suite, which refuses every request that did not come over https.
type front struct{ servers []*http.Server }

func startFront(ctx context.Context, a *authority, logs io.Writer) (*front, error) {
	id, err := a.issue(suiteHost)
	if err != nil {
		return nil, err
	}
	cert, err := id.tls()
	if err != nil {
		return nil, err
	}
	f := &front{}
	// At the second port a client may show a certificate, which is passed on unverified.
	for port, auth := range map[string]tls.ClientAuthType{"8443": tls.NoClientCert, "8444": tls.RequestClientCert} {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			f.close()
			return nil, err
		}
		s := &http.Server{
			Handler: forward(port, logs), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(logs, "front: ", 0),
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: auth, MinVersion: tls.VersionTLS12},
		}
		f.servers = append(f.servers, s)
		go func() { _ = s.ServeTLS(l, "", "") }() // ends with close
	}
	return f, nil
}

func (f *front) close() {
	for _, s := range f.servers {
		_ = s.Close()
	}
}

func forward(port string, logs io.Writer) http.Handler {
	target := &url.URL{Scheme: "http", Host: suiteListen}
	return &httputil.ReverseProxy{
		ErrorLog: log.New(logs, "front: ", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = suiteHost
			r.SetXForwarded()
			h := r.Out.Header
			h.Set("X-Forwarded-Host", suiteHost)
			h.Set("X-Forwarded-Port", port)
			for name := range h {
				if strings.HasPrefix(name, "X-Ssl-") { // only we say what came over TLS
					h.Del(name)
				}
			}
			describeTLS(h, r.In.TLS)
		},
	}
}

// describeTLS says what the suite reads about the connection, in the words of its usual proxy.
func describeTLS(h http.Header, state *tls.ConnectionState) {
	if state == nil {
		return
	}
	h.Set("X-Ssl-Protocol", strings.Replace(tls.VersionName(state.Version), "TLS 1.", "TLSv1.", 1))
	h.Set("X-Ssl-Cipher", tls.CipherSuiteName(state.CipherSuite))
	if len(state.PeerCertificates) > 0 {
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: state.PeerCertificates[0].Raw})
		h.Set("X-Ssl-Cert", strings.ReplaceAll(strings.TrimSpace(string(block)), "\n", " "))
	}
}

package limit

import (
	"io"
	"net/http"
	"strconv"
	"sync"
)

// Handler is the bare net/http handler: what is put under a path with PUT, every other
// request to it gets back. It reads a request's body, since any endpoint must, and does
// nothing else.
func Handler() http.Handler {
	var (
		mu     sync.RWMutex
		bodies = map[string][]byte{}
	)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
		if err != nil {
			http.Error(w, "bad body", http.StatusBadRequest)
			return
		}
		if r.Method == http.MethodPut {
			mu.Lock()
			bodies[r.URL.Path] = sent
			mu.Unlock()
			return
		}
		mu.RLock()
		body := bodies[r.URL.Path]
		mu.RUnlock()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body) // the client is gone if this fails
	})
}

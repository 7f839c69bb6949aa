// Command go-api is an API that accepts access tokens issued by Signet: JWTs (RFC 9068) verified
// with the keys the issuer publishes, for this audience, with the scope each route asks for.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	guard, err := newGuard(ctx, os.Getenv("ISSUER"), os.Getenv("AUDIENCE"))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /public", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string]any{"message": "Anybody may read this."})
	})
	mux.Handle("GET /tasks", guard.require("tasks:read", func(w http.ResponseWriter, r *http.Request, t token) {
		answer(w, http.StatusOK, map[string]any{"owner": t.Subject, "client": t.Client, "tasks": []string{"Water the plants"}})
	}))
	mux.Handle("POST /tasks", guard.require("tasks:write", func(w http.ResponseWriter, r *http.Request, t token) {
		answer(w, http.StatusCreated, map[string]any{"owner": t.Subject, "added": true})
	}))

	// Everything at once is for a person who has just proven two factors (RFC 9470).
	mux.Handle("GET /tasks/export", guard.require("tasks:read", stepUp(twoFactors, 5*time.Minute, func(w http.ResponseWriter, r *http.Request, t token) {
		answer(w, http.StatusOK, map[string]any{"owner": t.Subject, "file": "tasks.zip"})
	})))

	server := &http.Server{
		Addr:              "localhost:" + cmp.Or(os.Getenv("PORT"), "4003"),
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
	}
	context.AfterFunc(ctx, func() { server.Close() })
	log.Printf("listening on http://%s", server.Addr)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Print(err)
	}
}

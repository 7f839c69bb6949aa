package oidc

import (
	"encoding/json"
	"net/http"

	"signet/internal/server"
)

// pathPush takes pushed authorization requests (RFC 9126).
const pathPush = "/oauth2/par"

func (e *Endpoints) pushRoutes() []server.Route {
	return []server.Route{
		protocol(http.MethodPost, pathPush, e.answer(e.push)),
		protocol(http.MethodOptions, pathPush, e.preflight("POST")),
	}
}

// push answers 201 with where the request is kept (RFC 9126 §2.2).
func (e *Endpoints) push(w http.ResponseWriter, r *http.Request) (any, error) {
	form, err := body(r)
	if err != nil {
		return nil, err
	}
	pushed, err := e.engine.Push(sourced(r), e.call(w, r, form))
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(pushed)
	if err != nil {
		return nil, err
	}
	return typed{http.StatusCreated, contentJSON[0], text}, nil
}

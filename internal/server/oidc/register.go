package oidc

import "signet/internal/server"

func (e *Endpoints) registrationRoutes() []server.Route { return nil }

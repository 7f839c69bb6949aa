package oidc

import "signet/internal/server"

func (e *Endpoints) logoutRoutes() []server.Route { return nil }

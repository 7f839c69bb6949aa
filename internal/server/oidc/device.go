package oidc

import "signet/internal/server"

func (e *Endpoints) grantRoutes() []server.Route { return nil }

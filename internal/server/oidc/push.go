package oidc

import "signet/internal/server"

func (e *Endpoints) pushRoutes() []server.Route { return nil }

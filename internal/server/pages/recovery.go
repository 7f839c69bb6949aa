package pages

import "signet/internal/server"

var recoveryFrames = map[string]string{}

func (p *Pages) recoveryRoutes() []server.Route { return nil }

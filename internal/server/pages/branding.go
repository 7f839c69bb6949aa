package pages

import "signet/internal/server"

var brandingFrames = map[string]string{}

func (p *Pages) brandingRoutes() []server.Route { return nil }

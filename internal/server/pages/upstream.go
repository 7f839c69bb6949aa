package pages

import "signet/internal/server"

var upstreamFrames = map[string]string{}

func (p *Pages) upstreamRoutes() []server.Route { return nil }

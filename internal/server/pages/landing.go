package pages

import "signet/internal/server"

var landingFrames = map[string]string{}

func (p *Pages) landingRoutes() []server.Route { return nil }

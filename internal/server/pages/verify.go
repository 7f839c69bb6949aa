package pages

import "signet/internal/server"

var verifyFrames = map[string]string{}

func (p *Pages) verifyRoutes() []server.Route { return nil }

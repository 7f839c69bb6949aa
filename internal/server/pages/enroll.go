package pages

import "signet/internal/server"

var enrollFrames = map[string]string{}

func (p *Pages) enrollRoutes() []server.Route { return nil }

package pages

import "signet/internal/server"

var securityFrames = map[string]string{}

func (p *Pages) securityRoutes() []server.Route { return nil }

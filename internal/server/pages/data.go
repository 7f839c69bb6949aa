package pages

import "signet/internal/server"

var dataFrames = map[string]string{}

func (p *Pages) dataRoutes() []server.Route { return nil }

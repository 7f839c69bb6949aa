package pages

import "signet/internal/server"

var addressFrames = map[string]string{}

func (p *Pages) addressRoutes() []server.Route { return nil }

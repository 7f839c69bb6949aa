package pages

import "signet/internal/server"

var mailCodeFrames = map[string]string{}

func (p *Pages) mailCodeRoutes() []server.Route { return nil }

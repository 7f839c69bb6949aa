package pages

import "signet/internal/server"

var notMeFrames = map[string]string{}

func (p *Pages) notMeRoutes() []server.Route { return nil }

package pages

import "signet/internal/server"

var termsFrames = map[string]string{}

func (p *Pages) termsRoutes() []server.Route { return nil }

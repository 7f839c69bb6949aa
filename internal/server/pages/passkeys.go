package pages

import "signet/internal/server"

var passkeyFrames = map[string]string{}

func (p *Pages) passkeyRoutes() []server.Route { return nil }

package pages

import "signet/internal/server"

var inviteFrames = map[string]string{}

func (p *Pages) inviteRoutes() []server.Route { return nil }

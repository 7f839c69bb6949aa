package pages

import "signet/internal/server"

var activityFrames = map[string]string{}

func (p *Pages) activityRoutes() []server.Route { return nil }

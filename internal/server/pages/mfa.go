package pages

import "signet/internal/server"

var mfaFrames = map[string]string{}

func (p *Pages) mfaRoutes() []server.Route { return nil }

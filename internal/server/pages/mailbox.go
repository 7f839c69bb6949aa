package pages

import "signet/internal/server"

var mailboxFrames = map[string]string{}

func (p *Pages) mailboxRoutes() []server.Route { return nil }

package app

import (
	"time"

	"signet/internal/config"
	"signet/internal/oauth/logout"
)

// afterSession is how much longer than a session an application may remember who came from it.
const afterSession = 60 * 24 * time.Hour

// wireLogout makes what tells applications that a session has ended. It comes before the engine, which
// makes the tokens.
func (s *Services) wireLogout(cfg *config.Config, o Options) (err error) {
	s.Logout, err = logout.New(logout.Deps{
		DB: s.DB, Clock: s.Clock, Clients: s.Clients, Outbox: s.Outbox, Fetch: s.fetch(cfg, o), Kept: cfg.Sessions.Absolute + afterSession,
	})
	return err
}

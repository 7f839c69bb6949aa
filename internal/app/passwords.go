package app

import (
	"signet/internal/config"
	"signet/internal/identity/password"
)

// wirePasswords puts together how passwords are hashed and which ones are refused.
func (s *Services) wirePasswords(cfg *config.Config, o Options) (err error) {
	p := cfg.Passwords
	var lists []password.Breaches
	if p.BreachFile != "" { // first: it costs no waiting
		file, err := password.OpenBreachFile(p.BreachFile)
		if err != nil {
			return err
		}
		s.closers = append(s.closers, file.Close)
		lists = append(lists, file)
	}
	if p.BreachAPI != "" {
		api, err := password.NewRangeAPI(p.BreachAPI, p.BreachTimeout, s.fetch(cfg, o))
		if err != nil {
			return err
		}
		lists = append(lists, api)
	}
	s.Passwords, err = password.New(password.Deps{
		Params: password.Params{MemoryKiB: uint32(p.MemoryKiB), Time: uint32(p.Time), Parallelism: uint8(p.Parallelism)}, //nolint:gosec // bounded by the table
		Slots:  p.Slots, QueueTimeout: p.QueueTimeout, MinLength: p.MinLength,
		ServiceNames: []string{"signet", cfg.Name}, Breaches: lists, Observe: s.Metrics.Outcome, Log: s.Log,
	})
	return err
}

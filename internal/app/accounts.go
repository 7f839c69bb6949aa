package app

import (
	"context"
	"fmt"

	"signet/internal/config"
	"signet/internal/identity/account"
	"signet/internal/identity/device"
	"signet/internal/identity/federation"
	"signet/internal/identity/mfa"
	"signet/internal/identity/notice"
	"signet/internal/identity/passkey"
	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/signin"
)

// fetch returns the guarded client for what this configuration may reach.
func (s *Services) fetch(cfg *config.Config, o Options) *fetch.Client {
	return fetch.New(fetch.Options{AllowHosts: cfg.Outbound.AllowHosts, AllowPrivate: o.Dev, AllowHTTP: o.Dev, Log: s.Log})
}

// wireAccounts puts together everything about people: what is mailed to them, and the ways in which
// they prove who they are.
func (s *Services) wireAccounts(cfg *config.Config, o Options) (err error) {
	if s.Onetime, err = onetime.New(onetime.Deps{DB: s.DB, Clock: s.Clock, Seal: s.Seal}); err != nil {
		return err
	}
	if s.Devices, err = device.New(device.Deps{DB: s.DB, Clock: s.Clock, Audit: s.Audit}); err != nil {
		return err
	}
	s.Accounts, err = account.New(account.Deps{
		DB: s.DB, Clock: s.Clock, Passwords: s.Passwords, Limits: s.Limits, Audit: s.Audit, Log: s.Log, Lanes: s.Devices,
		OneTime: s.Onetime, Mail: s.Mail, Issuer: cfg.Issuer, Grace: cfg.Accounts.DeletionGrace,
		SignUps: account.SignUpPolicy{Mode: account.Mode(cfg.SignUp.Mode), Domains: cfg.SignUp.Domains, Terms: cfg.SignUp.TermsVersion},
	})
	if err != nil {
		return err
	}
	s.Notices, err = notice.New(notice.Deps{
		DB: s.DB, Audit: s.Audit, Accounts: s.Accounts, OneTime: s.Onetime, Mail: s.Mail, Clock: s.Clock, Issuer: cfg.Issuer,
	})
	if err != nil {
		return err
	}
	if s.Upstreams, err = s.upstreams(cfg, o); err != nil {
		return err
	}
	return s.wireFactors(cfg)
}

func (s *Services) wireFactors(cfg *config.Config) (err error) {
	factors := mfa.Deps{
		DB: s.DB, Clock: s.Clock, Seal: s.Seal, Limits: s.Limits, Audit: s.Audit, Onetime: s.Onetime, Log: s.Log,
		Issuer: cfg.Name, Lane: s.Devices.Lane,
	}
	if cfg.Passkeys.Enabled {
		s.Passkeys, err = passkey.New(passkey.Deps{
			DB: s.DB, Clock: s.Clock, Onetime: s.Onetime, Limits: s.Limits, Audit: s.Audit, Log: s.Log, Key: s.Seal.Subkey("passkey-challenge"),
			Issuer: cfg.Issuer, RPID: cfg.Passkeys.RPID, Related: cfg.Passkeys.Origins, Name: cfg.Name,
			Active: s.active, OtherWays: s.otherWays, Choices: s.Accounts,
		})
		if err != nil {
			return fmt.Errorf("passkeys: %w", err)
		}
		factors.Passkeys = s.Passkeys
	}
	s.MFA, err = mfa.New(factors)
	return err
}

func (s *Services) upstreams(cfg *config.Config, o Options) (*federation.Service, error) {
	var providers []federation.Provider
	for _, u := range cfg.Upstreams {
		issuer := u.Issuer
		if u.Kind == "github" {
			issuer = u.BaseURL
		}
		providers = append(providers, federation.Provider{
			Name: u.Name, Label: u.Label, Kind: federation.Kind(u.Kind), Issuer: issuer, ClientID: u.ClientID, ClientSecret: u.ClientSecret,
			Scopes: u.Scopes, Domains: u.Domains, Claims: u.Claims, TrustEmail: u.TrustEmail, TrustMFA: u.TrustMFA,
			Create: u.Create == nil || *u.Create,
		})
	}
	return federation.New(federation.Deps{
		DB: s.DB, Clock: s.Clock, OneTime: s.Onetime, Limits: s.Limits, Fetch: s.fetch(cfg, o), Audit: s.Audit, Log: s.Log,
		Issuer: cfg.Issuer, Providers: providers, OtherWays: s.waysOwn,
		Linked: func(ctx context.Context, user id.User, label string) error {
			return s.Notices.Send(ctx, user, notice.IdentityLinked, map[string]any{"Provider": label})
		},
	})
}

// wireJourneys comes last: here the halves meet.
func (s *Services) wireJourneys(cfg *config.Config) (err error) {
	d := signin.Deps{
		DB: s.DB, Clock: s.Clock, Accounts: s.Accounts, Sessions: s.Sessions, Engine: s.Engine, Factors: s.MFA, Browsers: s.Devices,
		Notices: s.Notices, Links: s.Upstreams,
		Policy: signin.Policy{Mode: signin.Mode(cfg.MFA.Mode), RememberFor: cfg.MFA.RememberFor},
	}
	if s.Passkeys != nil && cfg.Passkeys.Offer {
		d.Offers = s.Passkeys
	}
	s.Journeys, err = signin.New(d)
	return err
}

// active reports whether somebody may sign in.
func (s *Services) active(ctx context.Context, user id.User) (bool, error) {
	a, err := s.Accounts.ByID(ctx, user)
	if errs.Is(err, errs.NotFound) {
		return false, nil
	}
	return err == nil && a.Status == account.Active, err
}

// waysOwn reports whether somebody could sign in without another provider.
func (s *Services) waysOwn(ctx context.Context, user id.User) (bool, error) {
	if has, err := s.Accounts.HasPassword(ctx, user); has || err != nil || s.Passkeys == nil {
		return has, err
	}
	n, err := s.Passkeys.Count(ctx, user)
	return n > 0, err
}

// otherWays reports whether somebody could sign in without any passkey.
func (s *Services) otherWays(ctx context.Context, user id.User) (bool, error) {
	if has, err := s.Accounts.HasPassword(ctx, user); has || err != nil {
		return has, err
	}
	n, err := s.Upstreams.HeldCount(ctx, user)
	return n > 0, err
}

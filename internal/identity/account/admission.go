package account

import (
	"context"
	"errors"
	"slices"
	"strings"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
)

// Mode says who may make an account.
type Mode string

// The modes of sign-up.
const (
	Open     Mode = "open"
	ByInvite Mode = "invite"  // whoever holds an invitation link
	Domains  Mode = "domains" // whoever has an address at one of the domains, or an invitation
	Closed   Mode = "closed"  // nobody; administrators make the accounts
)

// SignUpPolicy is what an operator decides about sign-up. The zero value is open, without terms.
type SignUpPolicy struct {
	Mode    Mode
	Domains []string // for the mode Domains; their subdomains are not included
	// Terms is the version of the terms that people have to agree to; "" for none.
	Terms string
}

// The message keys of sign-ups that are not allowed.
const (
	KeySignUpClosed     = "signup_closed"
	KeyInvitationNeeded = "signup_invitation_needed"
	KeyInvitedOther     = "signup_invited_other" // the invitation is for another address
	KeyDomainRefused    = "signup_domain_refused"
	KeyTermsNeeded      = "terms_needed"
)

const fieldTerms = "terms"

// check returns the policy with canonical domains.
func (p SignUpPolicy) check(mails bool) (SignUpPolicy, error) {
	if p.Mode == "" {
		p.Mode = Open
	}
	if !slices.Contains([]Mode{Open, ByInvite, Domains, Closed}, p.Mode) {
		return p, errors.New("account: unknown mode of sign-up " + string(p.Mode))
	}
	if p.Mode != Domains {
		p.Domains = nil // kept in the configuration for another day
		return p, nil
	}
	if len(p.Domains) == 0 {
		return p, errors.New("account: sign-up by domain needs domains")
	}
	if !mails {
		return p, errors.New("account: sign-up by domain needs mail: without a proof anybody could claim an address there")
	}
	canonical := make([]string, len(p.Domains))
	for i, d := range p.Domains {
		ascii, ok := asciiDomain(strings.ToLower(d))
		if !ok {
			return p, errors.New("account: not a domain: " + d)
		}
		canonical[i] = ascii
	}
	p.Domains = canonical
	return p, nil
}

// Policy is what visitors may know: the mode of sign-up, its domains and the version of the terms.
func (s *Service) Policy() SignUpPolicy {
	p := s.signUps
	p.Domains = slices.Clone(p.Domains)
	return p
}

// Admission is what a newcomer shows at the door.
type Admission struct {
	Invitation string // token of an invitation link; "" for none
	Terms      string // the version of the terms that was agreed to; "" for none
}

// admit decides whether somebody with this address may have an account, whichever way they come.
// It returns the invitation that has to be used up for it, "" for none. Refusals are of kind
// Forbidden, or of kind Invalid at the address where another address would do.
func (s *Service) admit(ctx context.Context, email Email, token string) (invitation string, err error) {
	if s.signUps.Mode == Closed {
		return "", errs.New(errs.Forbidden, KeySignUpClosed, nil)
	}
	rule := s.rule(email)
	if rule == nil {
		return "", nil // an invitation stays unused where the door is open anyway
	}
	if token == "" {
		return "", rule
	}
	inv, err := s.Invitation(ctx, token)
	switch {
	case err != nil && s.signUps.Mode == Domains && errs.Is(err, errs.NotFound):
		return "", rule
	case err != nil:
		return "", err
	case !inv.admits(email):
		return "", errs.Field(fieldEmail, KeyInvitedOther)
	}
	return inv.ID, nil
}

// readmit is admit for a sign-up that was admitted before and waited for its proof: the rules may
// have changed meanwhile.
func (s *Service) readmit(email Email, invitation string) error {
	if s.signUps.Mode == Closed {
		return errs.New(errs.Forbidden, KeySignUpClosed, nil)
	}
	if invitation != "" {
		return nil // it is used up with the account; that fails if it is not there any more
	}
	return s.rule(email)
}

// rule is what the mode says to people without an invitation.
func (s *Service) rule(email Email) error {
	switch s.signUps.Mode {
	case Open:
		return nil
	case Domains:
		_, domain, _ := strings.Cut(email.key, "@")
		if slices.Contains(s.signUps.Domains, domain) {
			return nil
		}
		return errs.Field(fieldEmail, KeyDomainRefused)
	case ByInvite:
		return errs.New(errs.Forbidden, KeyInvitationNeeded, nil)
	}
	return errs.New(errs.Forbidden, KeySignUpClosed, nil)
}

// agreed checks that the terms of today were agreed to.
func (s *Service) agreed(version string) error {
	if s.signUps.Terms != "" && version != s.signUps.Terms {
		return errs.Field(fieldTerms, KeyTermsNeeded)
	}
	return nil
}

// Join makes an account for somebody who proved who they are elsewhere, at an upstream provider for
// example, under the same rules as sign-up. A verified address must have been verified there; one
// that is in use is of kind errs.Conflict. Without terms in adm the person owes them at the next
// step. What must exist together with the account is given as also, in the same transaction.
func (s *Service) Join(ctx context.Context, in NewAccount, adm Admission, also ...func(context.Context, Account) error) (Account, error) {
	row, err := s.draft(in)
	if err != nil {
		return Account{}, err
	}
	if s.signUps.Mode == Domains && !in.EmailVerified {
		return Account{}, errs.Field(fieldEmail, KeyDomainRefused) // claimed, not proven
	}
	invitation, err := s.admit(ctx, row.email, adm.Invitation)
	if err != nil {
		return Account{}, errs.Wrap("join", err)
	}
	if adm.Terms != "" && s.agreed(adm.Terms) == nil {
		row.terms = adm.Terms
	}
	if in.Password != "" {
		if row.hash, err = s.passwords.Hash(ctx, in.Password); err != nil {
			return Account{}, errs.Wrap("join", err)
		}
	}
	a, err := s.found(ctx, row, invitation, also)
	return a, errs.Wrap("join", err)
}

// found writes a new account, uses up the invitation that let it in, and runs also, all or nothing.
func (s *Service) found(ctx context.Context, row newRow, invitation string, also []func(context.Context, Account) error) (Account, error) {
	now := s.clock.Now()
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		detail := map[string]string{"source": row.source}
		if invitation != "" {
			if _, err := s.oneTime.TakeID(ctx, PurposeInvitation, invitation, ""); err != nil {
				return err
			}
			detail["invitation"] = invitation
		}
		if err := s.insert(ctx, now, row); err != nil {
			return err
		}
		if err := s.record(ctx, "account.create", audit.OK, row.id, detail); err != nil {
			return err
		}
		for _, fn := range also {
			if err := fn(ctx, row.account(now)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Account{}, err
	}
	return row.account(now), nil
}

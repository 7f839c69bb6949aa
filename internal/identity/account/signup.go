package account

import (
	"context"
	"errors"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/seal"
)

// SignUp is what a visitor typed. Username, Name and Locale may be empty.
type SignUp struct {
	Email, Username string
	Password        seal.Secret
	Name, Locale    string
	Admission
}

// SignUp makes an account for a visitor at once: the way where no mail can prove the address. Problems
// come all at once, joined, each an *errs.Error with its field; a name that is in use is of kind
// errs.Conflict. The password is hashed before the database is asked, so that known and unknown
// addresses take alike.
func (s *Service) SignUp(ctx context.Context, in SignUp) (Account, error) {
	row, invitation, err := s.signUpDraft(ctx, in)
	if err != nil {
		return Account{}, err
	}
	if row.hash, err = s.hashNewcomer(ctx, in.Password); err != nil {
		return Account{}, errs.Wrap("sign up", err)
	}
	a, err := s.found(ctx, row, invitation, nil)
	return a, errs.Wrap("sign up", err)
}

// signUpDraft validates what a visitor typed, and whether they may have an account at all.
func (s *Service) signUpDraft(ctx context.Context, in SignUp) (row newRow, invitation string, err error) {
	if s.signUps.Mode == Closed {
		return row, "", errs.New(errs.Forbidden, KeySignUpClosed, nil)
	}
	row, err = s.draft(NewAccount{
		Email: in.Email, Username: in.Username, Password: in.Password,
		Profile: Profile{Name: in.Name, Locale: in.Locale}, Source: "signup",
	})
	if in.Email == "" && in.Username != "" {
		err = errors.Join(err, errs.Field(fieldEmail, KeyEmailInvalid))
	}
	if in.Password == "" {
		err = errors.Join(err, s.passwords.Check(in.Password))
	}
	if wrong := s.agreed(in.Terms); wrong != nil {
		err = errors.Join(err, wrong)
	}
	row.terms = s.signUps.Terms
	if row.email.key != "" {
		var refused error
		if invitation, refused = s.admit(ctx, row.email, in.Invitation); refused != nil {
			err = errors.Join(err, refused)
		}
	}
	return row, invitation, err
}

// hashNewcomer hashes the password of somebody who signs up, within the budget of their network.
func (s *Service) hashNewcomer(ctx context.Context, pw seal.Secret) (string, error) {
	// Kept on success too: it bounds how many accounts one network makes.
	source := ratelimit.Key{Budget: s.budgets.SignUp, Value: ratelimit.SourceNetwork(audit.SourceOf(ctx).IP)}
	reserved, err := s.limits.Reserve(ctx, source)
	if err != nil {
		return "", err
	}
	hash, err := s.passwords.Hash(ctx, pw)
	if errs.Is(err, errs.Busy) {
		s.giveBack(ctx, reserved.Return)
	}
	return hash, err
}

// NewAccount is what an administrator gives. An address or a username is needed; without a
// password the account cannot sign in yet.
type NewAccount struct {
	Email, Username string
	EmailVerified   bool
	Password        seal.Secret
	Profile         Profile
	Source          string // where the account came from, for example "cli"
}

// Create makes an account on behalf of an administrator. Problems come as with SignUp.
func (s *Service) Create(ctx context.Context, in NewAccount) (Account, error) {
	row, err := s.draft(in)
	if err != nil {
		return Account{}, err
	}
	if in.Password != "" {
		if row.hash, err = s.passwords.Hash(ctx, in.Password); err != nil {
			return Account{}, errs.Wrap("create account", err)
		}
	}
	a, err := s.found(ctx, row, "", nil)
	return a, errs.Wrap("create account", err)
}

// draft validates everything of in and joins all problems.
func (s *Service) draft(in NewAccount) (newRow, error) {
	row := newRow{id: id.User(id.New()), status: Active, verified: in.EmailVerified, source: in.Source}
	var problems []error
	var err error
	if in.Email != "" {
		row.email, err = ParseEmail(in.Email)
		problems = append(problems, err)
	}
	if in.Username != "" {
		row.username, err = ParseUsername(in.Username)
		problems = append(problems, err)
	}
	if in.Email == "" && in.Username == "" {
		problems = append(problems, errs.Field(fieldEmail, KeyNameNeeded))
	}
	profile, wrong := in.Profile.normalize()
	row.profile = profile
	problems = append(problems, wrong...)
	if in.Password != "" {
		a := Account{Email: in.Email, Username: in.Username, Profile: in.Profile}
		problems = append(problems, s.passwords.Check(in.Password, a.about()...))
	}
	return row, errors.Join(problems...)
}

// record writes an audit event about an account; unless the context names an actor, the account
// acts on itself.
func (s *Service) record(ctx context.Context, action, result string, user id.User, detail map[string]string) error {
	e := audit.Event{Action: action, Result: result, Target: string(user), Detail: detail}
	if audit.SourceOf(ctx).Actor == "" && result == audit.OK {
		e.Actor = string(user)
	}
	return s.audit.Record(ctx, e)
}

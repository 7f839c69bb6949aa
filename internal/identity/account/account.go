// Package account owns the people.
package account

import (
	"context"
	"log/slog"
	"time"

	"signet/internal/identity/password"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// Status says whether an account may be used.
type Status string

// The statuses.
const (
	Active   Status = "active"
	Disabled Status = "disabled"
)

// Address is the address claim (OIDC Core §5.1.1).
type Address struct {
	Formatted     string `json:"formatted,omitempty"`
	StreetAddress string `json:"street_address,omitempty"`
	Locality      string `json:"locality,omitempty"`
	Region        string `json:"region,omitempty"`
	PostalCode    string `json:"postal_code,omitempty"`
	Country       string `json:"country,omitempty"`
}

// Profile is the standard claims that people edit themselves (OIDC Core §5.1).
type Profile struct {
	Name          string   `json:"name,omitempty"`
	GivenName     string   `json:"given_name,omitempty"`
	FamilyName    string   `json:"family_name,omitempty"`
	MiddleName    string   `json:"middle_name,omitempty"`
	Nickname      string   `json:"nickname,omitempty"`
	ProfileURL    string   `json:"profile,omitempty"`
	Picture       string   `json:"picture,omitempty"`
	Website       string   `json:"website,omitempty"`
	Gender        string   `json:"gender,omitempty"`
	Birthdate     string   `json:"birthdate,omitempty"`
	Zoneinfo      string   `json:"zoneinfo,omitempty"`
	Locale        string   `json:"locale,omitempty"`
	PhoneNumber   string   `json:"phone_number,omitempty"`
	PhoneVerified bool     `json:"phone_number_verified,omitempty"`
	Address       *Address `json:"address,omitempty"`
}

// Account is a person.
type Account struct {
	ID            id.User
	Status        Status
	Username      string
	Email         string
	EmailVerified bool
	Profile       Profile
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Claims returns all standard claims that are known, under their names of OIDC Core §5.1 ("sub"
// is left to the caller).
func (a Account) Claims() map[string]any { panic("unfinished") }

// Deps is what a Service needs.
type Deps struct {
	DB        *store.DB
	Clock     clock.Clock
	Passwords *password.Service
	Limits    *ratelimit.Limiter
	Audit     *audit.Log
	Log       *slog.Logger
	Budgets   Budgets
}

// Budgets are the attempt budgets; zero ones get their default.
type Budgets struct{ Account, Source, SignUp ratelimit.Budget }

// Service is the people.
type Service struct{}

// New returns a Service.
func New(Deps) (*Service, error) { panic("unfinished") }

// SignUp is what a visitor typed.
type SignUp struct {
	Email, Username string
	Password        seal.Secret
	Name, Locale    string
}

// NewAccount is what an administrator or an import gives.
type NewAccount struct {
	Email, Username string
	EmailVerified   bool
	Password        seal.Secret
	Profile         Profile
	Source          string
}

// ListOptions selects accounts.
type ListOptions struct {
	After  id.User
	Limit  int
	Search string
}

// SignUp makes an account.
func (s *Service) SignUp(context.Context, SignUp) (Account, error) { panic("unfinished") }

// Create makes an account.
func (s *Service) Create(context.Context, NewAccount) (Account, error) { panic("unfinished") }

// Authenticate checks a password.
func (s *Service) Authenticate(ctx context.Context, identifier string, pw seal.Secret) (Account, error) {
	panic("unfinished")
}

// Reauthenticate checks the password of a known user.
func (s *Service) Reauthenticate(context.Context, id.User, seal.Secret) error { panic("unfinished") }

// ByID returns one account.
func (s *Service) ByID(context.Context, id.User) (Account, error) { panic("unfinished") }

// ByIdentifier returns one account.
func (s *Service) ByIdentifier(context.Context, string) (Account, error) { panic("unfinished") }

// List returns accounts.
func (s *Service) List(context.Context, ListOptions) ([]Account, error) { panic("unfinished") }

// UpdateProfile replaces the profile.
func (s *Service) UpdateProfile(context.Context, id.User, Profile) error { panic("unfinished") }

// SetUsername changes or (with "") removes the username.
func (s *Service) SetUsername(context.Context, id.User, string) error { panic("unfinished") }

// ChangePassword replaces the password.
func (s *Service) ChangePassword(ctx context.Context, user id.User, current, next seal.Secret) error {
	panic("unfinished")
}

// SetPassword replaces the password without the current one, for administrators.
func (s *Service) SetPassword(context.Context, id.User, seal.Secret) error { panic("unfinished") }

// Disable bars an account.
func (s *Service) Disable(context.Context, id.User) error { panic("unfinished") }

// Enable lifts the bar.
func (s *Service) Enable(context.Context, id.User) error { panic("unfinished") }

// Delete removes an account.
func (s *Service) Delete(context.Context, id.User) error { panic("unfinished") }

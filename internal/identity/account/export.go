package account

import (
	"context"
	"errors"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// Export is everything that this package keeps about a person, secrets excepted: of the password
// there is only when it was set.
type Export struct {
	ID              id.User           `json:"id"`
	Status          Status            `json:"status"`
	Username        string            `json:"username,omitempty"`
	Addresses       []ExportedAddress `json:"addresses"`
	Profile         Profile           `json:"profile"`
	Source          string            `json:"source"`
	CreatedAt       time.Time         `json:"created_at"`
	UpdatedAt       time.Time         `json:"updated_at"`
	DeleteAt        *time.Time        `json:"delete_at,omitempty"`
	TermsVersion    string            `json:"terms_version,omitempty"`
	TermsAcceptedAt *time.Time        `json:"terms_accepted_at,omitempty"`
	PasswordSetAt   *time.Time        `json:"password_set_at,omitempty"`
}

// ExportedAddress is an address in an Export.
type ExportedAddress struct {
	Address    string     `json:"address"`
	Primary    bool       `json:"primary"`
	VerifiedAt *time.Time `json:"verified_at,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	ReplacedAt *time.Time `json:"replaced_at,omitempty"`
}

// Export returns it for the person themself, and puts on record that it was taken.
func (s *Service) Export(ctx context.Context, user id.User) (Export, error) {
	var out Export
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		a, err := s.ByID(ctx, user)
		if err != nil {
			return err
		}
		out = Export{
			ID: a.ID, Status: a.Status, Username: a.Username, Addresses: []ExportedAddress{}, Profile: a.Profile, Source: a.Source,
			CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, DeleteAt: known(a.DeleteAt),
			TermsVersion: a.TermsVersion, TermsAcceptedAt: known(a.TermsAt),
		}
		list, err := s.Addresses(ctx, user)
		if err != nil {
			return err
		}
		for _, one := range list {
			out.Addresses = append(out.Addresses, ExportedAddress{
				one.Address, one.Primary, known(one.VerifiedAt), one.CreatedAt, known(one.ReplacedAt),
			})
		}
		var changed int64
		err = s.db.Q(ctx).QueryRow(ctx, sqlPasswordAt, string(user)).Scan(&changed)
		if err != nil && !errors.Is(err, store.ErrNoRows) {
			return err
		}
		out.PasswordSetAt = known(store.Time(changed))
		return s.record(ctx, "data.export", audit.OK, user, nil)
	})
	return out, errs.Wrap("export account", err)
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

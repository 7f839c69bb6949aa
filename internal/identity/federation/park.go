package federation

import (
	"context"
	"errors"
	"time"

	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/platform/store"
)

// purposeLink is an identity that belongs to nobody yet and waits for the owner of an account.
const purposeLink onetime.Purpose = "upstream_link"

// parkLife is how long it waits: as long as a journey lasts.
const parkLife = 30 * time.Minute

// Parked is an identity that was proven and waits for somebody to prove an account.
type Parked struct {
	Identity Identity `json:"identity"`
	// For is the account that it waits for; "" for any whose owner proves it in this journey.
	For id.User `json:"for,omitempty"`
}

// Park keeps an identity for a journey, which remembers the id that is returned and nothing else.
// It joins the transaction that ctx carries.
func (s *Service) Park(ctx context.Context, p Parked) (string, error) {
	t, err := s.d.OneTime.Put(ctx, onetime.Draft{Purpose: purposeLink, Subject: string(p.For), Payload: p, TTL: parkLife})
	return t.ID, errs.Wrap("park upstream identity", err)
}

// Parked returns what was parked under this id; errs.NotFound if it is used or over.
func (s *Service) Parked(ctx context.Context, thing string) (Parked, error) {
	t, err := s.d.OneTime.ByID(ctx, purposeLink, thing)
	if err != nil {
		return Parked{}, err
	}
	return onetime.Read[Parked](t)
}

// Complete links what was parked to the account whose owner has just signed in, in the transaction
// of that sign-in. If it waits for somebody else, is over, or belongs to another account by now,
// the sign-in stands and nothing is linked.
func (s *Service) Complete(ctx context.Context, user id.User, parked string) error {
	store.MustTx(ctx)
	p, err := s.Parked(ctx, parked)
	switch {
	case errs.Is(err, errs.NotFound):
		return nil
	case err != nil:
		return errs.Wrap("complete upstream link", err)
	case p.For != "" && p.For != user:
		return nil
	}
	if _, err := s.d.OneTime.TakeID(ctx, purposeLink, parked, ""); err != nil {
		if errs.Is(err, errs.NotFound) { // another sign-in was faster
			return nil
		}
		return errs.Wrap("complete upstream link", err)
	}
	isNew, err := s.Link(ctx, user, p.Identity)
	if errs.Is(err, errs.Conflict) {
		s.d.Log.InfoContext(ctx, "an upstream identity was linked to another account meanwhile", "provider", p.Identity.Provider)
		return nil
	}
	if err != nil || !isNew || s.d.Linked == nil {
		return err
	}
	return s.d.Linked(ctx, user, s.label(p.Identity.Provider))
}

// label is what people know a provider as.
func (s *Service) label(name string) string {
	if p := s.find(name); p != nil {
		return p.Label
	}
	return name
}

// errLastWay is the refusal to unlink the only way in.
func errLastWay() error {
	return errs.New(errs.Conflict, KeyLastWay, errors.New("there would be no way to sign in left"))
}

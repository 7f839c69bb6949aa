package account

import (
	"context"
	"encoding/json"
	"errors"

	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

const (
	sqlReadChoices = `SELECT choices FROM account WHERE id = $1`
	// Compare-and-set: of two choices at once neither is lost.
	sqlSwapChoices = `UPDATE account SET choices = $2 WHERE id = $1 AND choices = $3`
)

// Choice returns a small choice of a person, such as an offer they do not want to see, or "" if
// they made none. Others name the choices and give the values a meaning.
func (s *Service) Choice(ctx context.Context, user id.User, name string) (string, error) {
	_, all, err := s.choices(ctx, user)
	return all[name], errs.Wrap("read choice", err)
}

// Choose keeps a choice; value "" forgets it.
func (s *Service) Choose(ctx context.Context, user id.User, name, value string) error {
	const tries = 8
	for range tries {
		old, all, err := s.choices(ctx, user)
		if err != nil {
			return errs.Wrap("keep choice", err)
		}
		if all[name] = value; value == "" {
			delete(all, name)
		}
		text, err := json.Marshal(all)
		if err != nil {
			return errs.Wrap("keep choice", err)
		}
		n, err := s.db.Q(ctx).Exec(ctx, sqlSwapChoices, string(user), string(text), old)
		if err != nil || n == 1 {
			return errs.Wrap("keep choice", err)
		}
	}
	return errs.New(errs.Conflict, "", errors.New("the choices are being changed by others"))
}

func (s *Service) choices(ctx context.Context, user id.User) (text string, all map[string]string, err error) {
	err = s.db.Q(ctx).QueryRow(ctx, sqlReadChoices, string(user)).Scan(&text)
	if errors.Is(err, store.ErrNoRows) {
		return "", nil, errs.New(errs.NotFound, "", err)
	}
	if err == nil {
		all = map[string]string{}
		err = json.Unmarshal([]byte(text), &all)
	}
	return text, all, err
}

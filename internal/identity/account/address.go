package account

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"signet/internal/identity/notice"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/mail"
	"signet/internal/platform/onetime"
	"signet/internal/platform/store"
)

// The purposes of the mails about an address.
const (
	PurposeAddress onetime.Purpose = "address_change"
	PurposeUndo    onetime.Purpose = "address_undo"
)

// AddressFor is how long a new address may take to be proven. UndoFor is how long the owner of a
// replaced address can take the change back, and for that long nobody else can have it.
const (
	AddressFor = time.Hour
	UndoFor    = 7 * 24 * time.Hour
)

// KeyAddressSame is the message key for the address that the account has already.
const KeyAddressSame = "address_same"

// EmailAddress is an address of an account.
type EmailAddress struct {
	Address    string
	Primary    bool
	VerifiedAt time.Time // zero: not proven
	CreatedAt  time.Time
	ReplacedAt time.Time // zero: in use
}

// Addresses lists the addresses of an account, the primary one first.
func (s *Service) Addresses(ctx context.Context, user id.User) ([]EmailAddress, error) {
	list, err := store.All(ctx, s.db.Q(ctx), func(r store.Row) (a EmailAddress, err error) {
		var key string
		var verified, created, replaced int64
		err = r.Scan(&a.Address, &key, &a.Primary, &verified, &created, &replaced)
		a.VerifiedAt, a.CreatedAt, a.ReplacedAt = store.Time(verified), store.Time(created), store.Time(replaced)
		return a, err
	}, sqlAddresses, string(user))
	return list, errs.Wrap("list addresses", err)
}

// Contact says where and how a person is reached; errs.NotFound if there is none.
func (s *Service) Contact(ctx context.Context, user id.User) (notice.Contact, error) {
	var out notice.Contact
	found := false
	_, err := store.All(ctx, s.db.Q(ctx), func(r store.Row) (struct{}, error) {
		var address *string
		var profile string
		err := r.Scan(&address, &profile)
		if err == nil && !found {
			var p Profile
			err = json.Unmarshal([]byte(profile), &p)
			out.Locale, out.Zone, found = p.Locale, p.Zoneinfo, true
		}
		if address != nil {
			out.Verified = append(out.Verified, *address)
		}
		return struct{}{}, err
	}, sqlContact, string(user))
	if err == nil && !found {
		err = errs.New(errs.NotFound, "", errors.New("no such account"))
	}
	return out, errs.Wrap("contact", err)
}

// newAddress is a change of address that waits for its proof.
type newAddress struct {
	Address string `json:"address,omitempty"` // "" for one that somebody has: there is nothing to prove
	Key     string `json:"key,omitempty"`
	Shown   string `json:"shown"` // as the page repeats it
	Verify  bool   `json:"verify,omitempty"`
}

// AskAddress writes a code and a link to an address that is to take the place of the account's, or
// that the account has and never proved, and returns the id under which the session may show the
// code. Nothing changes before that. One that belongs to somebody else looks the same here; its owner
// gets the mail that a sign-up with it would cause.
func (s *Service) AskAddress(ctx context.Context, user id.User, typed string, session id.Session, locale string) (string, error) {
	if !s.MailEnabled() {
		return "", errs.New(errs.NotFound, "", errors.New("mail is off"))
	}
	email, err := ParseEmail(typed)
	if err != nil {
		return "", err
	}
	a, err := s.ByID(ctx, user)
	if err != nil {
		return "", errs.Wrap("ask address", err)
	}
	own, _ := ParseEmail(a.Email)
	if own.key == email.key && a.EmailVerified {
		return "", errs.Field(fieldEmail, KeyAddressSame)
	}
	may, err := s.mayMailTo(ctx, email)
	if err != nil {
		return "", errs.Wrap("ask address", err)
	}
	if a.Profile.Locale != "" {
		locale = a.Profile.Locale
	}
	one, err := s.writeAddress(ctx, a, email, own.key == email.key, may, session, locale)
	return one, errs.Wrap("ask address", err)
}

func (s *Service) writeAddress(ctx context.Context, a Account, email Email, verify, may bool, session id.Session, locale string) (string, error) {
	var issued onetime.Issued
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		owner, registered, theirs, err := s.owner(ctx, email)
		if err != nil {
			return err
		}
		change := newAddress{Address: email.address, Key: email.key, Shown: email.address, Verify: verify}
		if verify {
			change.Address = registered // never a spelling that was typed later
		}
		taken := owner != "" && owner != a.ID
		if taken || !may {
			change.Address, change.Key = "", ""
		}
		issued, err = s.oneTime.Put(ctx, onetime.Draft{
			Purpose: PurposeAddress, Subject: string(a.ID), Binding: string(session), Payload: change, TTL: AddressFor,
			Token: id.MailLink, Code: true, Void: may,
		})
		if err != nil {
			return err
		}
		src := audit.SourceOf(ctx)
		m := mail.Message{
			To: change.Address, Account: a.ID, Kind: "verify_address", Locale: locale, Expires: issued.ExpiresAt,
			Data: map[string]any{
				"Code": issued.Code, "Link": s.link(issued), "Address": email.address,
				"Browser": notice.Browser(locale, src.UserAgent), "IP": src.IP,
			},
		}
		if taken { // its owner hears what a sign-up with it would tell them
			m = mail.Message{
				To: registered, Account: owner, Kind: "already_registered", Locale: theirs, Expires: issued.ExpiresAt,
				Data: map[string]any{"SignIn": s.issuer + "/login", "Reset": s.issuer + "/forgot"},
			}
		}
		send := s.mail.Send
		if !may {
			m.To, send = nobody, s.mail.SendNothing
		}
		if err := send(ctx, m); err != nil {
			return err
		}
		return s.record(ctx, "address.request", audit.OK, a.ID, nil)
	})
	return issued.ID, err
}

// PendingAddress returns the address that waits for its proof in a session. Errors are those of
// onetime.ByID.
func (s *Service) PendingAddress(ctx context.Context, user id.User, thing string, session id.Session) (string, error) {
	if s.oneTime == nil {
		return "", errs.New(errs.NotFound, onetime.KeyUnknown, nil)
	}
	t, err := s.oneTime.ByID(ctx, PurposeAddress, thing)
	if err != nil {
		return "", err
	}
	if t.Subject != string(user) || t.Binding != string(session) {
		return "", errs.New(errs.NotFound, onetime.KeyUnknown, nil)
	}
	change, err := onetime.Read[newAddress](t)
	return change.Shown, err
}

// PeekAddress says whose account the link to prove an address is about, and which address, and changes
// nothing.
func (s *Service) PeekAddress(ctx context.Context, token string) (user id.User, address string, err error) {
	t, err := s.oneTime.Peek(ctx, PurposeAddress, token)
	if err != nil {
		return "", "", err
	}
	change, err := onetime.Read[newAddress](t)
	return id.User(t.Subject), change.Shown, err
}

// Changed is what a proof did to the address of an account.
type Changed struct {
	Old, New string
	Verified bool // it had the address already
}

// ProveAddress takes the code that went to a new address, in the session that asked for it: the
// address is the account's from now on. The old one, if it was verified, gets a mail with a link to
// take that back. also runs in the same transaction.
func (s *Service) ProveAddress(ctx context.Context, user id.User, thing string, session id.Session, code string, also ...func(context.Context, Changed) error) (Changed, error) {
	if err := s.oneTime.CheckCode(ctx, PurposeAddress, thing, string(session), code); err != nil {
		return Changed{}, err
	}
	return s.changeAddress(ctx, user, func(ctx context.Context) (onetime.Thing, error) {
		return s.oneTime.TakeID(ctx, PurposeAddress, thing, string(session))
	}, also)
}

// ProveAddressLink is ProveAddress by the link, for the person who asked, in any session of theirs:
// whoever else reads that mail must not lend their address to the account of a stranger.
func (s *Service) ProveAddressLink(ctx context.Context, user id.User, token string, also ...func(context.Context, Changed) error) (Changed, error) {
	t, err := s.oneTime.Peek(ctx, PurposeAddress, token)
	if err != nil {
		return Changed{}, err
	}
	return s.changeAddress(ctx, user, func(ctx context.Context) (onetime.Thing, error) {
		return s.oneTime.Take(ctx, PurposeAddress, token, t.Binding)
	}, also)
}

func (s *Service) changeAddress(ctx context.Context, user id.User, take func(context.Context) (onetime.Thing, error), also []func(context.Context, Changed) error) (Changed, error) {
	var out Changed
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		t, err := take(ctx)
		if err != nil {
			return err
		}
		if t.Subject != string(user) {
			return errs.New(errs.NotFound, onetime.KeyUnknown, errors.New("somebody else's"))
		}
		change, err := onetime.Read[newAddress](t)
		if err != nil {
			return err
		}
		if change.Key == "" {
			return errs.New(errs.Unauthenticated, onetime.KeyWrong, errors.New("a guess at what was not sent"))
		}
		now := s.clock.Now()
		if err := s.mustHit(ctx, sqlTouch, string(user), store.Micros(now)); err != nil {
			return err
		}
		a, err := s.ByID(ctx, user)
		if err != nil {
			return err
		}
		out = Changed{Old: a.Email, New: change.Address, Verified: change.Verify}
		if change.Verify {
			err = s.verifyOwn(ctx, user, change.Key, now)
		} else {
			err = s.replaceAddress(ctx, a, change, now)
		}
		if err != nil {
			return err
		}
		for _, fn := range also {
			if err := fn(ctx, out); err != nil {
				return err
			}
		}
		return nil
	})
	return out, errs.Wrap("change address", err)
}

func (s *Service) verifyOwn(ctx context.Context, user id.User, key string, now time.Time) error {
	n, err := s.db.Q(ctx).Exec(ctx, sqlProveEmail, key, string(user), store.Micros(now))
	if err != nil {
		return err
	}
	if n == 0 {
		return errs.New(errs.NotFound, onetime.KeyUnknown, errors.New("not the account's any more"))
	}
	return s.record(ctx, "address.verify", audit.OK, user, nil)
}

func (s *Service) replaceAddress(ctx context.Context, a Account, change newAddress, now time.Time) error {
	q, at := s.db.Q(ctx), store.Micros(now)
	var replacedAt int64
	err := q.QueryRow(ctx, sqlReplacedAt, change.Key, string(a.ID), store.Micros(now.Add(-UndoFor))).Scan(&replacedAt)
	if err == nil {
		// Back to where they came from: as good as the link to take the change back, and as final. What
		// lies in between may be somebody else's, who must not get such a link for this.
		if _, err := s.takeBack(ctx, a.ID, change.Key, replacedAt, at); err != nil {
			return err
		}
		return s.record(ctx, "address.change", audit.OK, a.ID, nil)
	}
	if !errors.Is(err, store.ErrNoRows) {
		return err
	}
	if _, err := q.Exec(ctx, sqlFreeEmail, change.Key, string(a.ID), store.Micros(now.Add(-UndoFor))); err != nil {
		return err
	}
	kept, err := q.Exec(ctx, sqlReplaceEmail, string(a.ID), at)
	if err == nil && kept == 0 {
		_, err = q.Exec(ctx, sqlDropPrimary, string(a.ID)) // never proven: nobody to tell, nothing to take back
	}
	if err != nil {
		return err
	}
	err = s.insertRows(ctx, sqlInsertEmail, 6, []any{change.Key, string(a.ID), change.Address, true, at, at})
	if errors.Is(err, store.ErrUnique) {
		return errTaken(fieldEmail, KeyEmailTaken, err)
	}
	if err != nil {
		return err
	}
	if err := s.voidMailed(ctx, a.ID); err != nil { // what went to the old address opens nothing any more
		return err
	}
	if err := s.record(ctx, "address.change", audit.OK, a.ID, nil); err != nil || kept == 0 {
		return err
	}
	return s.offerUndo(ctx, a, change, at)
}

// replaced is a change of address that can be taken back.
type replaced struct {
	Old    string `json:"old"`
	OldKey string `json:"old_key"`
	New    string `json:"new"`
	At     int64  `json:"at"` // as in email_address.replaced_at
}

// offerUndo tells the old address. An earlier offer stays good: if the change before was somebody
// else's, this one is too.
func (s *Service) offerUndo(ctx context.Context, a Account, change newAddress, at int64) error {
	old, err := ParseEmail(a.Email)
	if err != nil {
		return errs.Wrap("stored address", err)
	}
	issued, err := s.oneTime.Put(ctx, onetime.Draft{
		Purpose: PurposeUndo, Subject: string(a.ID), TTL: UndoFor, Token: id.MailLink,
		Payload: replaced{Old: a.Email, OldKey: old.key, New: change.Address, At: at},
	})
	if err != nil {
		return err
	}
	src := audit.SourceOf(ctx)
	return s.mail.Send(ctx, mail.Message{
		To: a.Email, Account: a.ID, Kind: "address_changed", Locale: a.Profile.Locale, Expires: issued.ExpiresAt,
		Data: map[string]any{
			"Old": a.Email, "New": change.Address, "Undo": s.link(issued),
			"Browser": notice.Browser(a.Profile.Locale, src.UserAgent), "IP": src.IP, "At": notice.When(a.Profile.Locale, a.Profile.Zoneinfo, s.clock.Now()),
		},
	})
}

// PeekUndo says what the link in the mail to an old address takes back, and changes nothing.
func (s *Service) PeekUndo(ctx context.Context, token string) (Changed, error) {
	t, err := s.oneTime.Peek(ctx, PurposeUndo, token)
	if err != nil {
		return Changed{}, err
	}
	r, err := onetime.Read[replaced](t)
	return Changed{Old: r.Old, New: r.New}, err
}

// UndoAddress takes a change of address back: the old address is the account's again, and every
// address that came after it is gone. Somebody else may have made the change, so also must end every
// session and grant; it runs in the same transaction. The password stays as it is, and with it the
// way in for whoever knows it: offer a reset.
func (s *Service) UndoAddress(ctx context.Context, token string, also func(context.Context, id.User) error) (id.User, error) {
	var user id.User
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		t, err := s.oneTime.Take(ctx, PurposeUndo, token, "")
		if err != nil {
			return err
		}
		user = id.User(t.Subject)
		r, err := onetime.Read[replaced](t)
		if err != nil {
			return err
		}
		now := store.Micros(s.clock.Now())
		if err := s.mustHit(ctx, sqlTouch, string(user), now); err != nil {
			return err
		}
		n, err := s.takeBack(ctx, user, r.OldKey, r.At, now)
		if err != nil {
			return err
		}
		if n == 0 { // taken back already by an earlier change's link, or replaced again by its owner
			return errs.New(errs.NotFound, onetime.KeyUsed, errors.New("the change is not there any more"))
		}
		if err := s.record(ctx, "address.undo", audit.OK, user, nil); err != nil {
			return err
		}
		return also(ctx, user)
	})
	return user, errs.Wrap("undo change of address", err)
}

// takeBack makes an address that was replaced at that time the account's again, removes what came after
// it, and voids what was mailed meanwhile. It returns 0 if there is no such address.
func (s *Service) takeBack(ctx context.Context, user id.User, key string, replacedAt, now int64) (int64, error) {
	q := s.db.Q(ctx)
	if _, err := q.Exec(ctx, sqlUndoNewer, string(user), replacedAt, key); err != nil {
		return 0, err
	}
	n, err := q.Exec(ctx, sqlUndoRestore, key, string(user), replacedAt, now)
	if err != nil || n == 0 {
		return 0, err
	}
	// Notices went to the addresses that are gone, too: their alarms are no longer the owner's.
	if _, err := s.oneTime.Void(ctx, notice.NotMe, string(user)); err != nil {
		return 0, err
	}
	return n, s.voidMailed(ctx, user)
}

// DeleteReplaced removes at most limit replaced addresses that cannot be restored any more and returns
// how many went.
func (s *Service) DeleteReplaced(ctx context.Context, limit int) (int64, error) {
	return s.db.Q(ctx).Exec(ctx, sqlDropReplaced, store.Micros(s.clock.Now().Add(-UndoFor)), limit)
}

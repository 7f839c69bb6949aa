package passkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"signet/internal/identity/session"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
)

// maxAnswer bounds what a browser sends back. An assertion takes about 1 kB, a new key with a
// self-signed statement about 2 kB.
const maxAnswer = 16 << 10

// Login checks the answer to LoginOptions: somebody signs in with a passkey alone. What follows
// from it, such as the beginning of a session, is given as also and runs in the transaction that
// uses the challenge up. Errors: errs.Unauthenticated with KeyFailed, KeyStale or KeyUnknown, and
// errs.Limited.
func (s *Service) Login(ctx context.Context, journey string, answer []byte, also ...Also) (Credential, session.Event, error) {
	return s.use(ctx, firstFactor, journey, "", answer, also)
}

// Second checks the answer to SecondOptions, of the same user.
func (s *Service) Second(ctx context.Context, journey string, user id.User, answer []byte, also ...Also) (Credential, session.Event, error) {
	if user == "" {
		return Credential{}, session.Event{}, errs.New(errs.Unauthenticated, KeyFailed, errors.New("nobody's second factor"))
	}
	return s.use(ctx, secondFactor, journey, user, answer, also)
}

// refusal is a proof that failed: what a person is told, and what the audit log is.
type refusal struct {
	key, reason string
	user        id.User // whose credential it was, if it was anybody's
	cause       error
}

func (r *refusal) Error() string { return fmt.Sprintf("passkey refused (%s): %v", r.reason, r.cause) }
func (r *refusal) Unwrap() error { return r.cause }

// use is the one way to prove something with a passkey. The attempt is counted before anything is
// checked, and given back unless the check fails.
func (s *Service) use(ctx context.Context, c ceremony, binding string, user id.User, answer []byte, also []Also) (Credential, session.Event, error) {
	reserved, err := s.limits.Reserve(ctx, ratelimit.Key{Budget: s.source, Value: ratelimit.SourceNetwork(audit.SourceOf(ctx).IP)})
	if err != nil {
		return Credential{}, session.Event{}, errs.Wrap("passkey", err)
	}
	cred, event, err := s.check(ctx, c, binding, user, answer, also)
	var r *refusal
	if errors.As(err, &r) {
		return Credential{}, session.Event{}, s.refuse(ctx, c, r)
	}
	s.giveBack(ctx, reserved)
	return cred, event, errs.Wrap("passkey", err)
}

// check verifies an assertion (WebAuthn Level 3 §7.2) and settles it.
func (s *Service) check(ctx context.Context, c ceremony, binding string, user id.User, answer []byte, also []Also) (Credential, session.Event, error) {
	none := session.Event{}
	a, err := parseAssertion(answer)
	if err != nil {
		return Credential{}, none, &refusal{key: KeyFailed, reason: "malformed", cause: err}
	}
	challenge := a.Response.CollectedClientData.Challenge
	ends, err := s.checkChallenge(c, binding, user, challenge)
	if err != nil {
		return Credential{}, none, challengeRefusal(err)
	}
	cred, err := s.byKey(ctx, encode(a.RawID))
	if errs.Is(err, errs.NotFound) {
		return Credential{}, none, &refusal{key: KeyUnknown, reason: "unknown", cause: err}
	}
	if err != nil {
		return Credential{}, none, err
	}
	if r := s.verify(c, user, cred, a, challenge); r != nil {
		return Credential{}, none, r
	}
	active, err := s.active(ctx, cred.User)
	if err != nil {
		return Credential{}, none, err
	}
	if !active {
		return Credential{}, none, &refusal{key: KeyFailed, reason: "disabled", user: cred.User}
	}
	data := a.Response.AuthenticatorData
	now := s.clock.Now()
	event := session.Event{Method: session.Passkey, At: now, Verified: data.Flags.HasUserVerified(), Credential: cred.ID}
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		return s.settle(ctx, cred, data, challenge, ends, event, also)
	})
	cred.signCount, cred.BackedUp, cred.LastUsedAt = data.Counter, data.Flags.HasBackupState(), now
	return cred, event, err
}

// verify lets the library compare everything that §7.2 names: type, challenge, origin, relying
// party, presence, verification, user handle, signature, backup flags. Any failure is all.
func (s *Service) verify(c ceremony, user id.User, cred Credential, a *protocol.ParsedCredentialAssertionData, challenge string) *refusal {
	flags := a.Response.AuthenticatorData.Flags
	if flags.HasBackupEligible() != cred.Synced {
		return &refusal{key: KeyFailed, reason: "backup_flag", user: cred.User, cause: errors.New("eligibility for backup changed")}
	}
	owner := cred.owner(a.RawID)
	sess := webauthn.SessionData{Challenge: challenge, RelyingPartyID: s.rpID}
	var err error
	if c == firstFactor {
		sess.UserVerification = protocol.VerificationRequired
		// The owner is found by the credential; the handle must be theirs, and there (§7.2 step 6).
		_, _, err = s.rp.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) { return owner, nil }, sess, a)
	} else {
		if cred.User != user {
			return &refusal{key: KeyFailed, reason: "other_user", user: user, cause: errors.New("the passkey is somebody else's")}
		}
		sess.UserVerification = protocol.VerificationPreferred
		sess.UserID, sess.AllowedCredentialIDs = owner.handle, [][]byte{a.RawID}
		_, err = s.rp.ValidateLogin(owner, sess, a)
	}
	if err != nil {
		return &refusal{key: KeyFailed, reason: "mismatch", user: cred.User, cause: err}
	}
	return nil
}

// settle uses the challenge up, moves the counter and does what follows, in one transaction: of any
// number of answers to one challenge, on any number of instances, one gets here to the end.
func (s *Service) settle(ctx context.Context, cred Credential, data protocol.AuthenticatorData, challenge string, ends time.Time, e session.Event, also []Also) error {
	first, err := s.onetime.Spend(ctx, spending, challenge, ends)
	if err != nil {
		return err
	}
	if !first {
		return &refusal{key: KeyStale, reason: "replayed", user: cred.User}
	}
	backedUp := data.Flags.HasBackupState()
	n, err := s.db.Q(ctx).Exec(ctx, sqlUse, cred.ID, int64(data.Counter), data.Flags.HasBackupEligible(), backedUp, e.At.UnixMicro())
	if err != nil {
		return err
	}
	if n == 0 {
		// WebAuthn Level 3 §6.1.1, §7.2 step 22: a counter that does not grow may be a copy. (Or
		// the passkey was removed a moment ago.)
		return &refusal{key: KeyFailed, reason: "counter", user: cred.User, cause: fmt.Errorf("counter %d after %d", data.Counter, cred.signCount)}
	}
	if backedUp != cred.BackedUp {
		detail := map[string]string{"credential": cred.ID, "backed_up": strconv.FormatBool(backedUp)}
		if err := s.record(ctx, "passkey.backup", audit.OK, cred.User, detail); err != nil {
			return err
		}
	}
	for _, fn := range also {
		if err := fn(ctx, cred.User, e); err != nil {
			return err
		}
	}
	return nil
}

func challengeRefusal(err error) *refusal {
	if errors.Is(err, errStale) {
		return &refusal{key: KeyStale, reason: "stale", cause: err}
	}
	return &refusal{key: KeyStale, reason: "challenge", cause: err}
}

// refuse keeps a record of a failed proof, in a transaction of its own, and returns what the person
// is told.
func (s *Service) refuse(ctx context.Context, c ceremony, r *refusal) error {
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		return s.record(ctx, "passkey."+string(c), audit.Refused, r.user, map[string]string{"reason": r.reason})
	})
	if err != nil {
		return errs.Wrap("passkey", err)
	}
	return errs.New(errs.Unauthenticated, r.key, r)
}

// giveBack returns a reservation even if the visitor has left meanwhile.
func (s *Service) giveBack(ctx context.Context, r *ratelimit.Reservation) {
	rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := r.Return(rctx); err != nil {
		s.log.WarnContext(ctx, "attempt not given back", "error", err)
	}
}

// parseAssertion reads AuthenticationResponseJSON (WebAuthn Level 3 §5.1).
func parseAssertion(answer []byte) (*protocol.ParsedCredentialAssertionData, error) {
	if len(answer) > maxAnswer {
		return nil, errors.New("the answer is too long")
	}
	return protocol.ParseCredentialRequestResponseBytes(answer)
}

// KeyOf returns the credential id in an answer, "" if there is none: for Unknown, after KeyUnknown.
func KeyOf(answer []byte) string {
	var a struct {
		ID string `json:"id"`
	}
	if len(answer) > maxAnswer || json.Unmarshal(answer, &a) != nil {
		return ""
	}
	return a.ID
}

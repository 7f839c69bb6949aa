package passkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/store"
)

// Register checks the answer to RegisterOptions or UpgradeOptions and keeps the new passkey. It is
// called what its AAGUID stands for, else name. What must happen with it, such as a notice, is given
// as also and runs in the same transaction. Errors: errs.Unauthenticated with KeyFailed or KeyStale,
// errs.Conflict with KeyExists or KeyTooMany, and errs.Limited.
func (s *Service) Register(ctx context.Context, user id.User, binding string, answer []byte, name string, also ...func(context.Context, Credential) error) (Credential, error) {
	reserved, err := s.limits.Reserve(ctx, ratelimit.Key{Budget: s.source, Value: ratelimit.SourceNetwork(audit.SourceOf(ctx).IP)})
	if err != nil {
		return Credential{}, errs.Wrap("add passkey", err)
	}
	cred, challenge, ends, err := s.attested(user, binding, answer)
	if err == nil {
		if guess := Guess(cred.AAGUID); guess != "" {
			name = guess
		}
		cred.Name = shorten(name)
		err = s.db.InTx(ctx, func(ctx context.Context) error { return s.keep(ctx, cred, challenge, ends, also) })
	}
	var r *refusal
	if errors.As(err, &r) {
		return Credential{}, s.refuse(ctx, addition, r)
	}
	s.giveBack(ctx, reserved)
	if err != nil {
		return Credential{}, errs.Wrap("add passkey", err)
	}
	return cred, nil
}

// attested verifies an attestation (WebAuthn Level 3 §7.1). What counts is what came back, not what
// the options had asked for.
func (s *Service) attested(user id.User, binding string, answer []byte) (cred Credential, challenge string, ends time.Time, err error) {
	refused := func(reason string, cause error) (Credential, string, time.Time, error) {
		return Credential{}, "", time.Time{}, &refusal{key: KeyFailed, reason: reason, user: user, cause: cause}
	}
	a, err := parseAttestation(answer)
	if err != nil {
		return refused("malformed", err)
	}
	// Which of the two was asked for is signed into the challenge.
	challenge = a.Response.CollectedClientData.Challenge
	sess := webauthn.SessionData{
		Challenge: challenge, RelyingPartyID: s.rpID, UserID: handle(user), CredParams: algorithms,
		UserVerification: protocol.VerificationRequired,
	}
	ends, err = s.checkChallenge(addition, binding, user, challenge)
	if errors.Is(err, errForeign) {
		sess.UserVerification, sess.Mediation = protocol.VerificationPreferred, protocol.MediationConditional
		ends, err = s.checkChallenge(upgrade, binding, user, challenge)
	}
	if err != nil {
		r := challengeRefusal(err)
		r.user = user
		return Credential{}, "", time.Time{}, r
	}
	if f := protocol.AttestationFormat(a.Response.AttestationObject.Format); f != protocol.AttestationFormatNone && f != protocol.AttestationFormatPacked {
		// We ask for none; packed is what a client may leave as it is (§5.1.3 step 24). Parsing the
		// others would only be a larger surface.
		return refused("attestation_format", fmt.Errorf("attestation format %q", f))
	}
	made, err := s.rp.CreateCredential(person{handle: handle(user)}, sess, a)
	if err != nil {
		return refused("mismatch", err)
	}
	if len(made.ID) > 1023 { // §7.1 step 25
		return refused("mismatch", errors.New("the credential id is too long"))
	}
	alg, err := algorithm(made.PublicKey)
	if err != nil {
		return refused("public_key", err)
	}
	aaguid, err := uuid.FromBytes(made.Authenticator.AAGUID)
	if err != nil {
		return refused("malformed", err)
	}
	return Credential{
		ID: id.New(), Key: encode(made.ID), User: user, AAGUID: aaguid.String(), Transports: transports(made.Transport),
		Synced: made.Flags.BackupEligible, BackedUp: made.Flags.BackupState, CreatedAt: s.clock.Now(),
		publicKey: made.PublicKey, alg: alg, signCount: made.Authenticator.SignCount,
	}, challenge, ends, nil
}

// algorithm checks that a public key is one that we can use: without attestation nothing else does
// until somebody tries to sign in with it. The library compares kind, curve and point with what the
// key says of itself (RFC 9053 §7.1.1, §7.2); the sizes of RSA are ours (NIST SP 800-131A §3).
func algorithm(public []byte) (int64, error) {
	key, err := webauthncose.ParsePublicKey(public)
	if err != nil {
		return 0, err
	}
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		return k.Algorithm, nil
	case webauthncose.OKPPublicKeyData:
		return k.Algorithm, nil
	case webauthncose.RSAPublicKeyData:
		bits := new(big.Int).SetBytes(k.Modulus).BitLen()
		if k.Algorithm != int64(webauthncose.AlgRS256) || bits < 2048 || bits > 4096 {
			return 0, fmt.Errorf("RSA key of %d bits with algorithm %d", bits, k.Algorithm)
		}
		return k.Algorithm, nil
	}
	return 0, errors.New("a kind of key that we do not take")
}

// keep writes a new passkey and uses its challenge up.
func (s *Service) keep(ctx context.Context, c Credential, challenge string, ends time.Time, also []func(context.Context, Credential) error) error {
	active, err := s.active(ctx, c.User)
	if err != nil {
		return err
	}
	if !active {
		return &refusal{key: KeyFailed, reason: "disabled", user: c.User}
	}
	first, err := s.onetime.Spend(ctx, spending, challenge, ends)
	if err != nil {
		return err
	}
	if !first {
		return &refusal{key: KeyStale, reason: "replayed", user: c.User}
	}
	n, err := s.Count(ctx, c.User)
	if err != nil {
		return err
	}
	if n >= MaxPerAccount { // a moment's additions may exceed it by their number; it only bounds lists
		return errs.New(errs.Conflict, KeyTooMany, nil)
	}
	ways, err := json.Marshal(c.Transports)
	if err != nil {
		return err
	}
	_, err = s.db.Q(ctx).Exec(ctx, sqlInsert, c.ID, c.Key, string(c.User), c.Name, c.publicKey, c.alg, c.AAGUID, string(ways),
		int64(c.signCount), c.Synced, c.BackedUp, store.Micros(c.CreatedAt))
	if errors.Is(err, store.ErrUnique) {
		// §7.1 step 26: a credential belongs to one account.
		return errs.New(errs.Conflict, KeyExists, err)
	}
	if err != nil {
		return err
	}
	for _, fn := range also {
		if err := fn(ctx, c); err != nil {
			return err
		}
	}
	return s.record(ctx, "passkey.add", audit.OK, c.User, map[string]string{"credential": c.ID, "name": c.Name, "aaguid": c.AAGUID})
}

// transports keeps the hints that are known words, for the options of later sign-ins.
func transports(list []protocol.AuthenticatorTransport) []string {
	out := []string{}
	for _, t := range list {
		switch t {
		case protocol.USB, protocol.NFC, protocol.BLE, protocol.SmartCard, protocol.Hybrid, protocol.Internal:
			if len(out) < 6 {
				out = append(out, string(t))
			}
		}
	}
	return out
}

// parseAttestation reads RegistrationResponseJSON (WebAuthn Level 3 §5.1).
func parseAttestation(answer []byte) (*protocol.ParsedCredentialCreationData, error) {
	if len(answer) > maxAnswer {
		return nil, errors.New("the answer is too long")
	}
	return protocol.ParseCredentialCreationResponseBytes(answer)
}

package passkey

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

// algorithms are the kinds of keys we take, the preferred first (WebAuthn Level 3 §5.4: the three
// that reach every authenticator).
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

func newRelyingParty(rpID, name string, origins []string) (*webauthn.WebAuthn, error) {
	rp, err := webauthn.New(&webauthn.Config{
		RPID: rpID, RPDisplayName: name, RPOrigins: origins,
		AttestationPreference: protocol.PreferNoAttestation,
		// Some password managers report extensions that nobody asked for. We read none.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	return rp, errs.Wrap("passkey", err)
}

// The options in the form of PublicKeyCredentialRequestOptionsJSON and -CreationOptionsJSON
// (WebAuthn Level 3 §5.1.8, §5.1.9): buffers are base64url.
type (
	descriptor struct {
		Type       string   `json:"type"`
		ID         string   `json:"id"`
		Transports []string `json:"transports,omitempty"`
	}
	requestOptions struct {
		RPID             string       `json:"rpId"`
		Challenge        string       `json:"challenge"`
		Timeout          int64        `json:"timeout"`
		UserVerification string       `json:"userVerification"`
		Allow            []descriptor `json:"allowCredentials,omitempty"`
	}
	entity struct {
		ID          string `json:"id"`
		Name        string `json:"name"`
		DisplayName string `json:"displayName,omitempty"`
	}
	selection struct {
		ResidentKey      string `json:"residentKey"`
		RequireResident  bool   `json:"requireResidentKey"`
		UserVerification string `json:"userVerification"`
	}
	creationOptions struct {
		RP          entity                         `json:"rp"`
		User        entity                         `json:"user"`
		Challenge   string                         `json:"challenge"`
		Parameters  []protocol.CredentialParameter `json:"pubKeyCredParams"`
		Timeout     int64                          `json:"timeout"`
		Exclude     []descriptor                   `json:"excludeCredentials,omitempty"`
		Selection   selection                      `json:"authenticatorSelection"`
		Attestation string                         `json:"attestation"`
	}
)

const (
	required  = "required"
	preferred = "preferred"
)

// handle is the user handle: what an authenticator keeps to know accounts apart. It is the account
// id, which says nothing about a person (WebAuthn Level 3 §14.6.1).
func handle(user id.User) []byte {
	if len(user) > 64 { // the limit of §5.4.3
		sum := sha256.Sum256([]byte(user))
		return sum[:]
	}
	return []byte(user)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// LoginOptions are for signing in with whichever passkey the person has: they name nobody, so they
// tell nothing about who has an account (WebAuthn Level 3 §14.6.2). The answer must come back in
// the same journey.
func (s *Service) LoginOptions(journey string) ([]byte, error) {
	return json.Marshal(requestOptions{
		RPID: s.rpID, Challenge: s.newChallenge(firstFactor, journey, ""), Timeout: Life.Milliseconds(), UserVerification: required,
	})
}

// SecondOptions are for somebody whose first factor is proven. verified asks for a fingerprint, a face
// or a PIN too; whether there was one, the event of Second says. errs.NotFound: they have no passkey.
func (s *Service) SecondOptions(ctx context.Context, journey string, user id.User, verified bool) ([]byte, error) {
	list, err := s.List(ctx, user)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errs.New(errs.NotFound, "", nil)
	}
	verification := preferred
	if verified {
		verification = required
	}
	return json.Marshal(requestOptions{
		RPID: s.rpID, Challenge: s.newChallenge(secondFactor, journey, user), Timeout: Life.Milliseconds(),
		UserVerification: verification, Allow: descriptors(list),
	})
}

// Owner is who a new passkey is for, with the names that authenticators show.
type Owner struct {
	User              id.User
	Name, DisplayName string
}

// RegisterOptions are for adding a passkey with the person's doing. binding is the session or
// journey in which the answer must come back.
func (s *Service) RegisterOptions(ctx context.Context, o Owner, binding string) ([]byte, error) {
	return s.creation(ctx, addition, required, o, binding)
}

// UpgradeOptions are for a conditional create: straight after a sign-in with a password the
// browser's password manager may add a passkey by itself. Neither presence nor verification is
// tested then (WebAuthn Level 3 §5.1.3 step 22), so pages ask for it there and nowhere else.
func (s *Service) UpgradeOptions(ctx context.Context, o Owner, binding string) ([]byte, error) {
	return s.creation(ctx, upgrade, preferred, o, binding)
}

func (s *Service) creation(ctx context.Context, c ceremony, verification string, o Owner, binding string) ([]byte, error) {
	list, err := s.List(ctx, o.User)
	if err != nil {
		return nil, err
	}
	if len(list) >= MaxPerAccount {
		return nil, errs.New(errs.Conflict, KeyTooMany, nil)
	}
	if o.DisplayName == "" {
		o.DisplayName = o.Name
	}
	return json.Marshal(creationOptions{
		RP:        entity{ID: s.rpID, Name: s.rpName},
		User:      entity{ID: encode(handle(o.User)), Name: o.Name, DisplayName: o.DisplayName},
		Challenge: s.newChallenge(c, binding, o.User), Parameters: algorithms, Timeout: Life.Milliseconds(),
		Exclude:     descriptors(list),
		Selection:   selection{ResidentKey: required, RequireResident: true, UserVerification: verification},
		Attestation: "none",
	})
}

func descriptors(list []Credential) []descriptor {
	var out []descriptor
	for _, c := range list {
		out = append(out, descriptor{Type: "public-key", ID: c.Key, Transports: c.Transports})
	}
	return out
}

// Signals tells a browser which passkeys of an account are still good, so that password managers
// drop the others and show the present names (WebAuthn Level 3 §5.1.10).
func (s *Service) Signals(ctx context.Context, o Owner) ([]byte, error) {
	list, err := s.List(ctx, o.User)
	if err != nil {
		return nil, err
	}
	keys := []string{}
	for _, c := range list {
		keys = append(keys, c.Key)
	}
	if o.DisplayName == "" {
		o.DisplayName = o.Name
	}
	return json.Marshal(struct {
		RPID        string   `json:"rpId"`
		UserID      string   `json:"userId"`
		Name        string   `json:"name"`
		DisplayName string   `json:"displayName"`
		All         []string `json:"allAcceptedCredentialIds"`
	}{s.rpID, encode(handle(o.User)), o.Name, o.DisplayName, keys})
}

// Unknown is the signal that a credential is none of ours (KeyUnknown).
func (s *Service) Unknown(key string) ([]byte, error) {
	return json.Marshal(struct {
		RPID string `json:"rpId"`
		ID   string `json:"credentialId"`
	}{s.rpID, key})
}

// RelatedDocument is what browsers fetch before they let another origin use our passkeys (WebAuthn
// Level 3 §5.11.1).
func (s *Service) RelatedDocument() ([]byte, error) {
	return json.Marshal(struct {
		Origins []string `json:"origins"`
	}{s.origins})
}

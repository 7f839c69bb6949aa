package oauth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/big"
	"net/url"
	"strings"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/store"
)

// DeviceTerms are the terms of the device grant.
type DeviceTerms struct {
	Lifetime time.Duration // of a code; 0 means 10 min
	Interval time.Duration // between two polls; 0 means 5 s
}

func (t DeviceTerms) withDefaults() DeviceTerms {
	return DeviceTerms{or(t.Lifetime, 10*time.Minute), or(t.Interval, 5*time.Second)}
}

// DeviceCodes is a device authorization response (RFC 8628 §3.2).
type DeviceCodes struct {
	DeviceCode              string `json:"device_code"`
	UserCode                string `json:"user_code"`
	VerificationURI         string `json:"verification_uri"`
	VerificationURIComplete string `json:"verification_uri_complete"`
	ExpiresIn               int64  `json:"expires_in"`
	Interval                int64  `json:"interval"`
}

// DevicePath is the page on which people enter their code, below the issuer. It is short, because they
// type it.
const DevicePath = "/device"

// The letters of user codes (RFC 8628 §6.1): no vowels, so that no words come out, and nothing that
// looks like something else. 20^8 codes are 34.6 bits.
const (
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLength  = 8
)

// remoteAsk is what is asked for without a browser and from where, as a row keeps it.
type remoteAsk struct {
	Scopes    []string        `json:"scopes"`
	Resources []string        `json:"resources,omitempty"`
	Details   json.RawMessage `json:"details,omitempty"`
	Challenge string          `json:"code_challenge,omitempty"`
	IP        string          `json:"ip,omitempty"`
	UserAgent string          `json:"user_agent,omitempty"`
}

// budgetDevices bounds the rows that one network can make: each holds a user code that others could
// hit by chance.
func (e *Engine) budgetDevices() ratelimit.Budget {
	return ratelimit.Budget{Name: "device-request", Limit: 120, Per: e.device.Lifetime}
}

// Device answers a device authorization request (RFC 8628 §3.1).
func (e *Engine) Device(ctx context.Context, call Call) (*DeviceCodes, error) {
	if duplicate(call.Form) != "" {
		return nil, refuse(InvalidRequest, "A parameter occurs more than once.")
	}
	c, err := e.authenticate(ctx, &call)
	if err != nil {
		return nil, err
	}
	if !e.offers(client.GrantDeviceCode) || !c.AllowsGrant(client.GrantDeviceCode) {
		return nil, refuse(UnauthorizedClient, "The application is not registered for this grant type.")
	}
	ask, err := e.readDevice(ctx, c, call.Form)
	if err != nil {
		return nil, err
	}
	network := ratelimit.SourceNetwork(audit.SourceOf(ctx).IP)
	if _, err := e.limits.Reserve(ctx, ratelimit.Key{Budget: e.budgetDevices(), Value: network}); err != nil {
		return nil, err
	}
	return e.openDevice(ctx, c, ask)
}

// readAsk runs the checks of an authorization request that make sense without a browser, and notes
// where the request comes from.
func (e *Engine) readAsk(ctx context.Context, c *client.Client, form url.Values) (remoteAsk, error) {
	a := &authorization{e: e, form: form, client: c}
	var err error
	if a.index, err = e.index(ctx); err != nil {
		return remoteAsk{}, err
	}
	for _, check := range []func(context.Context, *authorization) error{checkScope, checkResource, checkDetails} {
		if err := check(ctx, a); err != nil {
			return remoteAsk{}, err
		}
	}
	from := audit.SourceOf(ctx).Kept()
	return remoteAsk{Scopes: a.req.Scopes, Resources: a.req.Resources, Details: a.req.Details, IP: from.IP, UserAgent: from.UserAgent}, nil
}

func (e *Engine) readDevice(ctx context.Context, c *client.Client, form url.Values) (remoteAsk, error) {
	ask, err := e.readAsk(ctx, c, form)
	if err != nil {
		return remoteAsk{}, err
	}
	// A challenge is no part of RFC 8628, but who sends one relies on it.
	value, method := form.Get("code_challenge"), form.Get("code_challenge_method")
	if (value != "" || method != "") && (method != "S256" || !challenge(value)) {
		return remoteAsk{}, refuse(InvalidRequest, "code_challenge must be a base64url SHA-256, code_challenge_method S256.")
	}
	ask.Challenge = value
	return ask, nil
}

// openDevice writes the request. A user code that another request holds is drawn anew.
func (e *Engine) openDevice(ctx context.Context, c *client.Client, ask remoteAsk) (*DeviceCodes, error) {
	text, err := json.Marshal(ask)
	if err != nil {
		return nil, err
	}
	now, device := e.clock.Now(), id.NewToken(id.DeviceCode)
	hash, _ := id.Hash(id.DeviceCode, device)
	for range 4 {
		code, err := newUserCode()
		if err != nil {
			return nil, err
		}
		var made string
		err = e.db.Q(ctx).QueryRow(ctx, sqlInsertDevice, id.New(), hash, e.userCodeHash(code), string(c.ID), string(text),
			int64(e.device.Interval/time.Second), store.Micros(now), store.Micros(now.Add(e.device.Lifetime))).Scan(&made)
		switch {
		case isNoRows(err):
			continue
		case errors.Is(err, store.ErrForeignKey):
			return nil, noClient().because(err)
		case err != nil:
			return nil, err
		}
		page := e.issuer + DevicePath
		return &DeviceCodes{
			DeviceCode: device, UserCode: ShowUserCode(code), VerificationURI: page,
			VerificationURIComplete: page + "?user_code=" + ShowUserCode(code),
			ExpiresIn:               int64(e.device.Lifetime / time.Second), Interval: int64(e.device.Interval / time.Second),
		}, nil
	}
	return nil, errs.New(errs.Busy, "", errors.New("no free user code"))
}

func newUserCode() (string, error) {
	b := make([]byte, userCodeLength)
	for i := range b {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(userCodeLetters))))
		if err != nil {
			return "", err
		}
		b[i] = userCodeLetters[n.Int64()]
	}
	return string(b), nil
}

// ShowUserCode writes a canonical user code as people read it: BCDF-GHJK.
func ShowUserCode(code string) string {
	if len(code) != userCodeLength {
		return code
	}
	return code[:4] + "-" + code[4:]
}

// ParseUserCode reads a code as it was typed: in any case, with whatever stands between the letters
// (RFC 8628 §6.1). ok is false for what can be no code.
func ParseUserCode(typed string) (code string, ok bool) {
	if len(typed) > 64 {
		return "", false
	}
	b := make([]byte, 0, userCodeLength)
	for _, r := range strings.ToUpper(typed) {
		switch {
		case r < 0x80 && strings.ContainsRune(userCodeLetters, r):
			b = append(b, byte(r))
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r > 0x2fff:
			return "", false // a letter that is in no code
		}
	}
	return string(b), len(b) == userCodeLength
}

// userCodeHash is the form in which rows keep a user code: it is too short for a hash without key.
func (e *Engine) userCodeHash(code string) string {
	mac := hmac.New(sha256.New, e.userCodes)
	mac.Write([]byte(code))
	return encode64(mac.Sum(nil))
}

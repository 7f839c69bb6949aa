package oauth

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/oauth/client"
)

// errNoKey: what was to be encrypted is never sent in clear instead.
var errNoKey = errors.New("the client has no key to encrypt to")

// encryptTo encrypts payload to a key that the client registered, as a compact JWE (RFC 7516 §7.1),
// with one of client.EncryptionAlgs and client.ContentEncryptions; enc "" is the default of OIDC
// Registration §2. cty is JWT for what is signed already (RFC 7519 §5.2). A client without a fitting key
// is invalid_request; one whose key set cannot be read now is 503.
func (e *Engine) encryptTo(ctx context.Context, c *client.Client, alg, enc string, payload []byte, cty string) (string, error) {
	if enc == "" {
		enc = client.ContentEncryptions()[0]
	}
	key, found, err := e.clients.EncryptionKey(ctx, c, alg)
	if err != nil {
		return "", err
	}
	if !found {
		return "", refuse(InvalidRequest, "The application has no key to encrypt the answer to.").because(errNoKey)
	}
	opts := &jose.EncrypterOptions{}
	if cty != "" {
		opts = opts.WithContentType(jose.ContentType(cty))
	}
	box, err := jose.NewEncrypter(jose.ContentEncryption(enc), jose.Recipient{Algorithm: jose.KeyAlgorithm(alg), Key: key.Key, KeyID: key.KeyID}, opts)
	if err != nil {
		return "", fmt.Errorf("encrypt with %s, %s: %w", alg, enc, err)
	}
	jwe, err := box.Encrypt(payload)
	if err != nil {
		return "", fmt.Errorf("encrypt with %s, %s: %w", alg, enc, err)
	}
	return jwe.CompactSerialize()
}

// protect encrypts a signed JWT where the client registered an algorithm for that, else returns it
// as it is (OIDC Core §10.2: signed, then encrypted).
func (e *Engine) protect(ctx context.Context, c *client.Client, alg, enc, token string) (string, error) {
	if alg == "" {
		return token, nil
	}
	return e.encryptTo(ctx, c, alg, enc, []byte(token), "JWT")
}

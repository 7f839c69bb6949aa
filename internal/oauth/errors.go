package oauth

import (
	"errors"
	"net/http"
	"time"

	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

// The closed set of error codes that leave this server at its protocol endpoints. A code that
// is not here does not exist; causes stay in the log.
const (
	InvalidRequest          = "invalid_request"           // RFC 6749 §4.1.2.1, §5.2
	InvalidClient           = "invalid_client"            // RFC 6749 §5.2
	InvalidGrant            = "invalid_grant"             // RFC 6749 §5.2
	UnauthorizedClient      = "unauthorized_client"       // RFC 6749 §4.1.2.1, §5.2
	UnsupportedGrantType    = "unsupported_grant_type"    // RFC 6749 §5.2
	UnsupportedResponseType = "unsupported_response_type" // RFC 6749 §4.1.2.1
	InvalidScope            = "invalid_scope"             // RFC 6749 §4.1.2.1, §5.2
	InvalidTarget           = "invalid_target"            // RFC 8707 §2
	AccessDenied            = "access_denied"             // RFC 6749 §4.1.2.1
	ServerError             = "server_error"              // RFC 6749 §4.1.2.1
	TemporarilyUnavailable  = "temporarily_unavailable"   // RFC 6749 §4.1.2.1
	LoginRequired           = "login_required"            // OIDC Core §3.1.2.6
	ConsentRequired         = "consent_required"          // OIDC Core §3.1.2.6
	InteractionRequired     = "interaction_required"      // OIDC Core §3.1.2.6
	SelectionRequired       = "account_selection_required"
	RequestNotSupported     = "request_not_supported"             // OIDC Core §3.1.2.6
	RequestURINotSupported  = "request_uri_not_supported"         // OIDC Core §3.1.2.6
	RegistrationUnsupported = "registration_not_supported"        // OIDC Core §3.1.2.6
	UnsupportedTokenType    = "unsupported_token_type"            // RFC 7009 §2.2.1
	InvalidToken            = "invalid_token"                     // RFC 6750 §3.1
	InsufficientScope       = "insufficient_scope"                // RFC 6750 §3.1
	InvalidRequestObject    = "invalid_request_object"            // RFC 9101 §7, OIDC Core §3.1.2.6
	InvalidRequestURI       = "invalid_request_uri"               // RFC 9101 §7
	InvalidDPoPProof        = "invalid_dpop_proof"                // RFC 9449 §5, §7.1
	UseDPoPNonce            = "use_dpop_nonce"                    // RFC 9449 §8, §9
	InvalidDetails          = "invalid_authorization_details"     // RFC 9396 §5
	AuthorizationPending    = "authorization_pending"             // RFC 8628 §3.5
	SlowDown                = "slow_down"                         // RFC 8628 §3.5
	ExpiredToken            = "expired_token"                     // RFC 8628 §3.5
	UnknownUserID           = "unknown_user_id"                   // CIBA §13
	InvalidBindingMessage   = "invalid_binding_message"           // CIBA §13
	InvalidClientMetadata   = "invalid_client_metadata"           // RFC 7591 §3.2.2
	InvalidRedirectURI      = "invalid_redirect_uri"              // RFC 7591 §3.2.2
	InvalidStatement        = "invalid_software_statement"        // RFC 7591 §3.2.2
	UnapprovedStatement     = "unapproved_software_statement"     // RFC 7591 §3.2.2
	UnmetRequirements       = "unmet_authentication_requirements" // OIDC Unmet Authentication Requirements §2
	InsufficientAuth        = "insufficient_user_authentication"  // RFC 9470 §3
)

// Codes lists the vocabulary, for tests and for the reference page.
var Codes = []string{
	InvalidRequest, InvalidClient, InvalidGrant, UnauthorizedClient, UnsupportedGrantType, UnsupportedResponseType,
	InvalidScope, InvalidTarget, AccessDenied, ServerError, TemporarilyUnavailable, LoginRequired, ConsentRequired,
	InteractionRequired, SelectionRequired, RequestNotSupported, RequestURINotSupported, RegistrationUnsupported,
	UnsupportedTokenType, InvalidToken, InsufficientScope, InvalidRequestObject, InvalidRequestURI, InvalidDPoPProof,
	UseDPoPNonce, InvalidDetails, AuthorizationPending, SlowDown, ExpiredToken, UnknownUserID, InvalidBindingMessage,
	InvalidClientMetadata, InvalidRedirectURI, InvalidStatement, UnapprovedStatement, UnmetRequirements, InsufficientAuth,
}

// Target is where an authorization response may go: an address that was checked against the
// client's registration, and how the answer travels.
type Target struct {
	Client      id.Client // whose address it is
	RedirectURI string
	Mode        string // query | fragment | form_post
	State       string
}

// Error is an answer of the protocol. Redirect says whether the application may be told by
// redirect; nil means that only a page of our own (or a plain response) may carry it
// (RFC 6749 §4.1.2.1). Description is safe for anybody and names no value that was sent.
type Error struct {
	Code        string
	Description string
	Status      int
	Redirect    *Target
	// Challenge is the authentication scheme of WWW-Authenticate for a 401 (RFC 9110 §11.6.1).
	Challenge  string
	RetryAfter time.Duration
	Cause      error // for the log
}

// Error is meant for logs.
func (e *Error) Error() string {
	s := e.Code + ": " + e.Description
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// refuse builds an error of the vocabulary. Errors are values built per request; none is shared.
func refuse(code, description string) *Error {
	status := http.StatusBadRequest
	switch code {
	case InvalidClient, InvalidToken:
		status = http.StatusUnauthorized
	case InsufficientScope:
		status = http.StatusForbidden
	case ServerError:
		status = http.StatusInternalServerError
	case TemporarilyUnavailable:
		status = http.StatusServiceUnavailable
	}
	return &Error{Code: code, Description: description, Status: status}
}

// because adds the cause that the log sees.
func (e *Error) because(err error) *Error {
	e.Cause = err
	return e
}

// retryAfter is what a client is told when the store does not answer: it is usually back by then.
const retryAfter = 2 * time.Second

// AsError turns any error into an answer of the vocabulary, once, at the edge. A fault of the
// store is temporarily_unavailable, so that nobody mistakes it for a decision.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	switch k := errs.KindOf(err); k {
	case errs.Unavailable, errs.Busy, errs.Limited:
		out := refuse(TemporarilyUnavailable, "The server cannot answer right now; try again.").because(err)
		out.RetryAfter = max(errs.As(err).RetryAfter, retryAfter)
		if k == errs.Limited {
			out.Status = http.StatusTooManyRequests
		}
		return out
	case errs.Invalid:
		return refuse(InvalidRequest, "The request is malformed.").because(err)
	}
	return refuse(ServerError, "An internal error occurred.").because(err)
}

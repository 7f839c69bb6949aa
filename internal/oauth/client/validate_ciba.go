package client

import (
	"slices"
	"strings"
)

// The ways in which an application hears of a decision (CIBA §5). Tokens are never pushed: they would go
// to an address, not to whoever proves to be the client (FAPI-CIBA §5.2.2 forbids it).
const (
	DeliverPoll = "poll"
	DeliverPing = "ping"
)

// Pinged reports whether the client is told of decisions (CIBA §10.2).
func (m Metadata) Pinged() bool { return m.CIBADelivery == DeliverPing }

// checkCIBA is CIBA §4.
func checkCIBA(s subject, p *Problems) {
	if s.CIBADelivery == "" && s.CIBANotification == "" && s.CIBARequestAlg == "" && !s.CIBAUserCode && !s.has(GrantCIBA) {
		return
	}
	switch {
	case s.CIBADelivery == "push":
		p.add("backchannel_token_delivery_mode", "is push, which is not offered: it is poll or ping")
	case !slices.Contains([]string{"", DeliverPoll, DeliverPing}, s.CIBADelivery):
		p.add("backchannel_token_delivery_mode", "is %q, must be poll or ping", shown(s.CIBADelivery))
	}
	switch uri := s.CIBANotification; {
	case uri == "" && s.Pinged():
		p.add("backchannel_client_notification_endpoint", "is missing: ping mode needs it (CIBA §4)")
	case uri == "":
	case uriProblem(uri, false) != "":
		p.add("backchannel_client_notification_endpoint", "%q %s", shown(uri), uriProblem(uri, false))
	case !s.Pinged():
		p.add("backchannel_client_notification_endpoint", "is for backchannel_token_delivery_mode ping")
	}
	if alg := s.CIBARequestAlg; alg != "" {
		if !slices.Contains(SignatureAlgs(), alg) {
			p.add("backchannel_authentication_request_signing_alg", "is %q, must be one of %s", shown(alg), strings.Join(SignatureAlgs(), ", "))
		}
		if len(s.JWKS) == 0 && s.JWKSURI == "" {
			p.add("backchannel_authentication_request_signing_alg", "needs jwks or jwks_uri to verify with")
		}
	}
	if s.CIBAUserCode {
		p.add("backchannel_user_code_parameter", "must be false: user codes are not offered")
	}
	if !s.has(GrantCIBA) {
		p.add("grant_types", "needs %s for the backchannel settings", GrantCIBA)
	}
}

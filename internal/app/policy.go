package app

import (
	"signet/internal/config"
	"signet/internal/oauth"
	"signet/internal/signin"
)

// policy is what the configuration says of the protocol.
func policy(cfg *config.Config) oauth.Policy {
	o := cfg.OAuth
	return oauth.Policy{
		LegacyResponseTypes: o.LegacyResponseTypes, RequirePushed: o.RequirePushed, RequestObjects: o.RequestObjects,
		RequestURIs: o.RequestURIs, DPoPNonce: o.DPoPNonce, SessionManagement: o.SessionManagement,
		FrontchannelLogout: o.FrontchannelLogout, DetailTypes: o.DetailTypes, ClientDocuments: o.ClientDocuments,
		MTLS: cfg.MTLS.URL, Certificates: cfg.MTLS.Listen != "" || cfg.MTLS.Header != "",
		Authorities: cfg.MTLS.CAFile != "", TokenAudience: o.TokenAudience,
		RequireMFA: cfg.MFA.Mode == string(signin.MFARequired),
	}
}

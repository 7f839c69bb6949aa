package oauth

// Policy is what the deployment offers and demands.
type Policy struct {
	LegacyResponseTypes bool
	RequirePushed       bool
	RequestObjects      string // off | signed | unsigned; "" is signed
	RequestURIs         bool
	DPoPNonce           bool
	SessionManagement   bool
	FrontchannelLogout  bool
	RequireMFA          bool              // of everybody, where no remembered browser stands in
	DetailTypes         map[string]string // type → what it allows, in words
	ClientDocuments     bool
	// MTLS is the public origin of the listener that asks for certificates, "" for none;
	// Certificates says that they can arrive at all.
	MTLS         string
	Certificates bool
	Authorities  bool // there are some whose certificates tls_client_auth accepts
	// TokenAudience admits client assertions for the token endpoint instead of the issuer.
	TokenAudience bool
}

// Policy returns what the deployment offers and demands, for discovery and the pages.
func (e *Engine) Policy() Policy { return e.policy }

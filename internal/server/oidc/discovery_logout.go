package oidc

// logoutMetadata is the part of discovery about logout: OIDC Session Management §3.3, Front-Channel
// Logout §3, Back-Channel Logout §2.1.
type logoutMetadata struct {
	CheckSessionIframe  string `json:"check_session_iframe,omitempty"`
	Frontchannel        bool   `json:"frontchannel_logout_supported"`
	FrontchannelSession bool   `json:"frontchannel_logout_session_supported"`
	Backchannel         bool   `json:"backchannel_logout_supported"`
	BackchannelSession  bool   `json:"backchannel_logout_session_supported"`
}

func (e *Endpoints) logoutMetadata() logoutMetadata {
	p := e.engine.Policy()
	m := logoutMetadata{
		Frontchannel: p.FrontchannelLogout, FrontchannelSession: p.FrontchannelLogout,
		Backchannel: true, BackchannelSession: true,
	}
	if p.SessionManagement {
		m.CheckSessionIframe = e.engine.Issuer() + pathSession
	}
	return m
}

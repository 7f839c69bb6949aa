package oauth

import "strings"

// confirmation is what the holder of a token must prove beside having it (RFC 7800 §3.1): the
// thumbprint of a DPoP key (RFC 9449 §6.1) or of a certificate (RFC 8705 §3.1). At most one is set.
type confirmation struct {
	JKT  string `json:"jkt,omitempty"`
	X5TS string `json:"x5t#S256,omitempty"`
}

func (c confirmation) none() bool { return c == confirmation{} }

// tokenType is the token_type of a token bound so (RFC 9449 §5; RFC 8705 §3 keeps Bearer).
func (c confirmation) tokenType() string {
	if c.JKT != "" {
		return "DPoP"
	}
	return "Bearer"
}

// claim is the value of cnf, nil for none.
func (c confirmation) claim() *confirmation {
	if c.none() {
		return nil
	}
	return &c
}

// String is the form in which rows keep it.
func (c confirmation) String() string {
	switch {
	case c.JKT != "":
		return "jkt:" + c.JKT
	case c.X5TS != "":
		return "x5t:" + c.X5TS
	}
	return ""
}

func parseConfirmation(s string) confirmation {
	kind, value, _ := strings.Cut(s, ":")
	switch kind {
	case "jkt":
		return confirmation{JKT: value}
	case "x5t":
		return confirmation{X5TS: value}
	}
	return confirmation{}
}

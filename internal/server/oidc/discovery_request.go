package oidc

// requestMetadata is the part of discovery about how requests may be made and answers may travel (RFC 9101, RFC 9126, JARM).
type requestMetadata struct{}

func (e *Endpoints) requestMetadata() requestMetadata { return requestMetadata{} }

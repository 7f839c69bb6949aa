package client

// Defaults returns the metadata that a client of the kind starts from.
func Defaults(kind Kind) Metadata { panic("wip") }

// Validate reports everything that is wrong with the metadata at once.
func (m Metadata) Validate(kind Kind) error { panic("wip") }

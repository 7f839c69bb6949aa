package client

import (
	"context"

	"signet/internal/platform/id"
	"signet/internal/platform/seal"
)

// FileClient is a client that the configuration file declares.
type FileClient struct {
	ID       id.Client
	Name     string
	Kind     Kind
	Disabled bool
	Metadata Metadata // start from Defaults(Kind)
	Secrets  []FileSecret
}

// FileSecret is a secret from the configuration: the text itself (from secret_file or the
// environment), or its SHA-256 as 64 hexadecimal digits. One of the two.
type FileSecret struct {
	Plain  seal.Secret
	SHA256 string
}

// FileAPI is an API that the configuration file declares.
type FileAPI struct {
	Audience string
	Name     string
	Scopes   map[string]string
}

// FileSummary tells what SyncFile did.
type FileSummary struct {
	Created, Updated, Disabled            []id.Client
	APIsCreated, APIsUpdated, APIsDeleted []string
}

// SyncFile makes the rows that the configuration owns what the file says. Any number of
// instances may call it at once.
func (s *Service) SyncFile(ctx context.Context, clients []FileClient, apis []FileAPI) (FileSummary, error) {
	panic("wip")
}

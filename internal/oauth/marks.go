package oauth

import (
	"context"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/ratelimit"
)

// Each assertion and each proof leaves a mark until it could not be used again. A client that an operator
// made, or let in, may leave as many as it likes, and pays no round trip for being counted; one that
// nobody let in could make itself and then fill the store.

// markBudget is that of a client in quarantine, and of a document that nobody uses yet.
var markBudget = ratelimit.Budget{Name: "mark-client", Limit: 600, Per: 15 * time.Minute}

// markDocumentBudget is that of a document that people use: one may stand for all users of a service.
var markDocumentBudget = ratelimit.Budget{Name: "mark-document", Limit: 6000, Per: 15 * time.Minute}

// boundMarks counts a mark that a client is about to leave. It is called when what it sent has proven to
// be its own, so that nobody uses up another client's marks; never in a transaction (ratelimit.Reserve).
func (e *Engine) boundMarks(ctx context.Context, c *client.Client) error {
	document := c.ManagedBy == client.ManagedByDocument
	if !document && !c.Metadata.Quarantined {
		return nil
	}
	if e.limits == nil {
		return refuse(UnauthorizedClient, "Clients that nobody let in cannot do this here.")
	}
	budget := markBudget
	if document && !c.Strange() {
		budget = markDocumentBudget
	}
	_, err := e.limits.Reserve(ctx, ratelimit.Key{Budget: budget, Value: string(c.ID)})
	return err
}

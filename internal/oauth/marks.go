package oauth

import (
	"context"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
)

// Each assertion and each proof leaves a mark until it could not be used again. A client that an operator
// made, or let in, may leave as many as it likes, and pays no round trip for being counted; one that
// nobody let in could make itself and then fill the store.

// markBudget is that of a client in quarantine, and of a document that nobody uses yet; of a public one, of
// each of its users.
var markBudget = ratelimit.Budget{Name: "mark-client", Limit: 600, Per: 15 * time.Minute}

// markDocumentBudget is that of a document that people use and that proves who it is: it stands for all
// users of a service.
var markDocumentBudget = ratelimit.Budget{Name: "mark-document", Limit: 6000, Per: 15 * time.Minute}

// boundMarks counts a mark that a client is about to leave, for a user, or for nobody yet. A confidential
// client has proven that it is itself by now. A public one proves nothing: anybody can push in its name, and
// whoever signs in through it can refresh and ask without end; so there each user counts apart, and before
// there is one each network, and nobody takes what others of the client need. Never in a transaction
// (ratelimit.Reserve).
func (e *Engine) boundMarks(ctx context.Context, c *client.Client, user id.User) error {
	if !c.Unvetted() {
		return nil
	}
	if e.limits == nil {
		return refuse(UnauthorizedClient, "Clients that nobody let in cannot do this here.")
	}
	budget, who := markBudget, string(c.ID)
	switch {
	case c.Public() && user != "":
		who += "\x00" + string(user)
	case c.Public():
		who += "\x00" + ratelimit.SourceNetwork(audit.SourceOf(ctx).IP)
	case c.ManagedBy == client.ManagedByDocument && !c.Strange():
		budget = markDocumentBudget
	}
	_, err := e.limits.Reserve(ctx, ratelimit.Key{Budget: budget, Value: who})
	return err
}

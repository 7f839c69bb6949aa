package oauth

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// documents gives the rig clients that are documents, most of them at most, at any path of a server.
func (r *rig) documents(most int) (at func(n int) *Request) {
	r.t.Helper()
	var srv *httptest.Server
	srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"client_id":%q,"client_name":"Agent","redirect_uris":["https://agent.test/cb"]}`, srv.URL+q.URL.Path)
	}))
	r.t.Cleanup(srv.Close)
	changes := store.NewChanges(r.db, time.Hour)
	r.Engine.clients = must(client.New(client.Deps{
		DB: r.db, Clock: r.clock, Changes: changes, Audit: must(audit.New(audit.Deps{DB: r.db, Clock: r.clock})),
		Fetch:     fetch.New(fetch.Options{AllowPrivate: true, AllowHTTP: true}),
		Documents: &client.Documents{Most: most},
	}))
	check(r.t, changes.Poll(r.t.Context()))
	return func(n int) *Request {
		r.t.Helper()
		cid := id.Client(fmt.Sprintf("%s/%d", srv.URL, n))
		must(r.Engine.clients.Get(r.t.Context(), cid))
		return &Request{ClientID: cid, Scopes: []string{"openid"}, RedirectURI: "https://agent.test/cb"}
	}
}

// consentTo is what a journey does: admitted first, and then consent in the transaction of its step.
func (r *rig) consentTo(req *Request, user id.User) error {
	r.t.Helper()
	if err := r.Admit(r.t.Context(), req, user); err != nil {
		return err
	}
	return r.db.InTx(r.t.Context(), func(ctx context.Context) error { return r.Approve(ctx, req, user) })
}

// TestApprove_DocumentsOfOnePerson, security case RG-12: one person does not take the places of all
// documents; those that they use already are no new ones.
func TestApprove_DocumentsOfOnePerson(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		at := r.documents(100)
		for n := range adoptBudget.Limit {
			check(r.t, r.consentTo(at(n), r.user))
		}
		if err := r.consentTo(at(adoptBudget.Limit), r.user); !errs.Is(err, errs.Limited) {
			r.t.Errorf("one too many: %v", err)
		}
		check(r.t, r.consentTo(at(3), r.user))
		other := r.newUser()
		check(r.t, r.consentTo(at(adoptBudget.Limit), other))
		check(r.t, r.consentTo(at(adoptBudget.Limit), r.user)) // it is there now
	})
}

// TestApprove_DocumentsFull: beyond the bound the answer is clear, nothing is written, and those that are
// there go on.
func TestApprove_DocumentsFull(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		at := r.documents(2)
		check(r.t, r.consentTo(at(1), r.user))
		check(r.t, r.consentTo(at(2), r.user))
		out := AsError(r.consentTo(at(3), r.user))
		if out.Code != TemporarilyUnavailable || out.Status != http.StatusServiceUnavailable || out.RetryAfter <= 0 || out.Redirect != nil {
			r.t.Errorf("the third: %+v", out)
		}
		if n := r.count(`SELECT COUNT(*) FROM consent`); n != 2 {
			r.t.Errorf("%d consents", n)
		}
		check(r.t, r.consentTo(at(1), r.newUser()))
	})
}

// TestIssue_NotesTheUseFirst, security case RG-12: whoever signs in keeps the document, from before its grant is
// written, also where that grant is long over when somebody comes again.
func TestIssue_NotesTheUseFirst(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		req := r.documents(2)(1)
		check(r.t, r.consentTo(req, r.user))
		r.clock.Advance(91 * 24 * time.Hour)
		r.session = r.newSession(r.user)
		req.CodeChallenge = testChallenge
		if _, err := r.Engine.Issue(r.t.Context(), req, r.login()); err != nil {
			r.t.Fatal(err)
		}
		r.exec(`DELETE FROM oauth_grant`)
		if n, err := r.Engine.clients.DeleteUnusedDocuments(r.t.Context(), 10); n != 0 || err != nil {
			r.t.Errorf("%d went, %v", n, err)
		}
	})
}

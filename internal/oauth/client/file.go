package client

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
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

// Changed reports whether anything was written.
func (f FileSummary) Changed() bool {
	return len(f.Created)+len(f.Updated)+len(f.Disabled)+len(f.APIsCreated)+len(f.APIsUpdated)+len(f.APIsDeleted) > 0
}

// errNothing rolls back a change that turned out to be done already.
var errNothing = errors.New("nothing to change")

// SyncFile makes the rows that the configuration owns what the file says: declared clients and
// APIs are created or brought up to date; a client that left the file is disabled, and enabled
// again when it returns; an API that left the file is deleted. Rows of the command line are
// not touched, and a declared id that one of them has is a problem. All problems are
// reported at once, and then nothing is written.
//
// Any number of instances may call it at once: one writes, the others find it done. When nothing
// changed, nothing is written.
func (s *Service) SyncFile(ctx context.Context, clients []FileClient, apis []FileAPI) (FileSummary, error) {
	plan := func(ctx context.Context) (*filePlan, error) {
		rows, err := s.loadAll(ctx, "", noLimit)
		if err != nil {
			return nil, err
		}
		registry, err := s.loadAPIs(ctx)
		if err != nil {
			return nil, err
		}
		return planFile(clients, apis, rows, registry, s.d.Clock.Now())
	}
	p, err := plan(ctx)
	if err != nil || !p.sum.Changed() {
		return FileSummary{}, err
	}
	err = s.change(ctx, func(ctx context.Context) error {
		// Planned again under the lock: another instance may have done it meanwhile.
		if p, err = plan(ctx); err != nil {
			return err
		}
		if !p.sum.Changed() {
			return errNothing
		}
		return p.apply(ctx, s)
	})
	if errors.Is(err, errNothing) {
		return FileSummary{}, nil
	}
	if err != nil {
		return FileSummary{}, err
	}
	return p.sum, nil
}

// filePlan is what SyncFile is about to write.
type filePlan struct {
	sum     FileSummary
	clients []plannedClient
	apis    []plannedAPI
}

type plannedClient struct {
	client *Client
	action string // of the audit event
	added  []string
	plain  map[string]string // hash → secret, where the client needs it sealed
}

type plannedAPI struct {
	api    API
	action string
}

// planFile compares the file with the rows. It writes nothing.
func planFile(clients []FileClient, apis []FileAPI, rows []*Client, registry *APIs, now time.Time) (*filePlan, error) {
	var plan filePlan
	var problems Problems
	after := plan.planAPIs(apis, registry, now, &problems)
	have := map[id.Client]*Client{}
	for _, r := range rows {
		have[r.ID] = r
	}
	declared := map[id.Client]bool{}
	for _, f := range clients {
		at := fmt.Sprintf("clients[%s]", shown(string(f.ID)))
		if declared[f.ID] {
			problems.add(at, "is declared twice")
			continue
		}
		declared[f.ID] = true
		plan.planClient(f, have[f.ID], after, now, at, &problems)
	}
	for _, r := range rows {
		switch {
		case r.ManagedBy == ManagedByFile && !declared[r.ID] && r.Active():
			c := *r
			c.Status, c.UpdatedAt = Disabled, now
			plan.clients = append(plan.clients, plannedClient{&c, "client.disable", nil, nil})
			plan.sum.Disabled = append(plan.sum.Disabled, r.ID)
		case r.ManagedBy == ManagedByAdmin:
			for _, gone := range plan.sum.APIsDeleted {
				if r.AllowsAudience(gone) {
					problems.add(fmt.Sprintf("apis[%s]", gone), "is no longer declared, but client %s may ask tokens for it: change that client first", r.ID)
				}
			}
		}
	}
	return &plan, problems.err()
}

// planAPIs returns the registry as it will be.
func (plan *filePlan) planAPIs(apis []FileAPI, registry *APIs, now time.Time, problems *Problems) *APIs {
	declared := map[string]bool{}
	after := slices.DeleteFunc(slices.Clone(registry.All()), func(a API) bool { return a.ManagedBy == ManagedByFile })
	for _, f := range apis {
		at := fmt.Sprintf("apis[%s]", shown(f.Audience))
		if declared[f.Audience] {
			problems.add(at, "is declared twice")
			continue
		}
		declared[f.Audience] = true
		a := API{f.Audience, f.Name, f.Scopes, ManagedByFile, now, now}
		if a.Scopes == nil {
			a.Scopes = map[string]string{}
		}
		var own Problems
		checkAPI(a, newAPIs(after), &own)
		old, exists := registry.ByAudience(f.Audience)
		if exists && old.ManagedBy != ManagedByFile {
			own.add("audience", "was registered by the command line: delete it there, or do not declare it")
		}
		nest(problems, at, own)
		after = append(after, a)
		switch {
		case !exists:
			plan.apis = append(plan.apis, plannedAPI{a, "api.create"})
			plan.sum.APIsCreated = append(plan.sum.APIsCreated, a.Audience)
		case old.Name != a.Name || !maps.Equal(old.Scopes, a.Scopes):
			plan.apis = append(plan.apis, plannedAPI{a, "api.update"})
			plan.sum.APIsUpdated = append(plan.sum.APIsUpdated, a.Audience)
		}
	}
	for _, old := range registry.All() {
		if old.ManagedBy == ManagedByFile && !declared[old.Audience] {
			plan.apis = append(plan.apis, plannedAPI{old, "api.delete"})
			plan.sum.APIsDeleted = append(plan.sum.APIsDeleted, old.Audience)
		}
	}
	return newAPIs(after)
}

func (plan *filePlan) planClient(f FileClient, old *Client, apis *APIs, now time.Time, at string, problems *Problems) {
	c := &Client{ID: f.ID, Name: f.Name, Kind: f.Kind, Status: Active, ManagedBy: ManagedByFile,
		Metadata: f.Metadata.clone(), CreatedAt: now, UpdatedAt: now}
	if f.Disabled {
		c.Status = Disabled
	}
	var own Problems
	if err := checkClient(c, apis); err != nil {
		own = append(own, ProblemsOf(err)...)
	}
	hashes, plain := fileSecrets(f, &own), plainSecrets(f, &own)
	if old != nil && old.ManagedBy != ManagedByFile {
		own.add("id", "was registered by the command line: delete it there, or declare another id")
	} else if old != nil && old.Kind != f.Kind {
		own.add("kind", "is %s, but the client was declared as %s before: a kind cannot change, declare another id", f.Kind, old.Kind)
	}
	nest(problems, at, own)
	if len(own) > 0 {
		return
	}
	if old == nil {
		plan.clients = append(plan.clients, plannedClient{c, "client.create", hashes, plain})
		plan.sum.Created = append(plan.sum.Created, c.ID)
		return
	}
	old = usable(old, f.Metadata.AuthMethod)
	added, same := diffSecrets(old, hashes)
	if same && old.Name == c.Name && old.Status == c.Status && sameMetadata(old.Metadata, c.Metadata) {
		return
	}
	c.CreatedAt = old.CreatedAt
	for _, h := range old.secrets {
		if slices.Contains(hashes, h.hash) {
			c.secrets = append(c.secrets, h)
		}
	}
	plan.clients = append(plan.clients, plannedClient{c, "client.update", added, plain})
	plan.sum.Updated = append(plan.sum.Updated, c.ID)
}

func nest(p *Problems, at string, own Problems) {
	for _, x := range own {
		p.add(at+"."+x.Field, "%s", x.Text)
	}
}

func sameMetadata(a, b Metadata) bool {
	x, err := json.Marshal(a)
	if err != nil {
		return false
	}
	y, err := json.Marshal(b)
	return err == nil && string(x) == string(y)
}

// diffSecrets returns the hashes that old lacks, and whether the two sets are the same.
func diffSecrets(old *Client, hashes []string) (added []string, same bool) {
	for _, h := range hashes {
		if !slices.ContainsFunc(old.secrets, func(s secretHash) bool { return s.hash == h && s.expiresAt.IsZero() }) {
			added = append(added, h)
		}
	}
	return added, len(added) == 0 && len(old.secrets) == len(hashes)
}

// fileSecrets turns the secrets of a declared client into stored hashes.
func fileSecrets(f FileClient, p *Problems) []string {
	if !f.Metadata.UsesSecret() {
		if len(f.Secrets) > 0 {
			p.add("secrets", "must be empty: the client authenticates with %s", f.Metadata.AuthMethod)
		}
		return nil
	}
	if n := len(f.Secrets); n < 1 || n > maxSecrets {
		p.add("secrets", "has %d entries, must have one, or two while they are rotated", n)
		return nil
	}
	var hashes []string
	for _, s := range f.Secrets {
		h, text := s.hash()
		switch {
		case text != "":
			p.add("secrets", "%s", text)
		case slices.Contains(hashes, h):
			p.add("secrets", "has the same secret twice")
		default:
			hashes = append(hashes, h)
		}
	}
	return hashes
}

func (s FileSecret) hash() (hash, problem string) {
	if s.SHA256 == "" {
		return id.Digest(s.Plain.Reveal()), weakSecret(s.Plain.Reveal())
	}
	if s.Plain != "" {
		return "", "has a secret and its hash: one of the two"
	}
	sum, err := hex.DecodeString(strings.TrimPrefix(s.SHA256, "sha256:"))
	if err != nil || len(sum) != 32 {
		return "", "has a hash that is not 64 hexadecimal digits (SHA-256 of the secret)"
	}
	return base64.RawURLEncoding.EncodeToString(sum), ""
}

// weakSecret says why an operator's secret is refused, or "". Stored as a fast hash, it must not
// be guessable, so it has to look like the output of a generator.
func weakSecret(secret string) string {
	const least, most, distinct = 32, 256, 10
	chars := map[rune]bool{}
	for _, r := range secret {
		if r <= ' ' || r > '~' {
			return "has a secret with characters other than visible ASCII"
		}
		chars[r] = true
	}
	switch {
	case len(secret) < least || len(secret) > most:
		return fmt.Sprintf("has a secret of %d characters, must be %d to %d: take the output of `openssl rand -base64 32`", len(secret), least, most)
	case len(chars) < distinct || repeats(secret):
		return "has a secret that is not random: take the output of `openssl rand -base64 32`"
	}
	return ""
}

// repeats reports whether s is some shorter text over and over.
func repeats(s string) bool {
	// A text with period n is found inside its own doubling before its end.
	return strings.Index((s + s)[1:], s) < len(s)-1
}

// apply writes the plan in the transaction that ctx carries. New APIs come before the clients.
func (plan *filePlan) apply(ctx context.Context, s *Service) error {
	for _, p := range plan.apis {
		if err := s.applyAPI(ctx, p); err != nil {
			return err
		}
	}
	for _, p := range plan.clients {
		if err := s.applyClient(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) applyAPI(ctx context.Context, p plannedAPI) error {
	q := s.d.DB.Q(ctx)
	var err error
	switch p.action {
	case "api.create":
		err = s.insertAPI(ctx, p.api)
	case "api.delete":
		_, err = q.Exec(ctx, sqlDeleteAPI, p.api.Audience)
	default:
		var scopes []byte
		if scopes, err = json.Marshal(p.api.Scopes); err == nil {
			_, err = q.Exec(ctx, sqlUpdateAPI, p.api.Audience, p.api.Name, string(scopes), store.Micros(p.api.UpdatedAt))
		}
	}
	if err != nil {
		return err
	}
	return s.d.Audit.Record(ctx, audit.Event{Action: p.action, Result: audit.OK, Actor: actorFile, Target: p.api.Audience})
}

// actorFile is who acts in audit events of SyncFile.
const actorFile = "configuration"

func (s *Service) applyClient(ctx context.Context, p plannedClient) error {
	c := p.client
	var err error
	if p.action == "client.create" {
		err = s.insert(ctx, c)
	} else {
		err = s.write(ctx, c)
	}
	if err != nil {
		return err
	}
	if p.action == "client.update" {
		// Keep at most two hashes; an absent one is the empty string, which is no hash.
		keep := [maxSecrets]string{}
		for i, h := range c.secrets {
			keep[i] = h.hash
		}
		if _, err := s.d.DB.Q(ctx).Exec(ctx, sqlDeleteOtherSecret, c.ID, keep[0], keep[1]); err != nil {
			return err
		}
		if c.Metadata.AuthMethod != SecretJWT {
			if _, err := s.d.DB.Q(ctx).Exec(ctx, sqlForgetSealed, c.ID); err != nil {
				return err
			}
		}
	}
	for _, h := range p.added {
		sealed := ""
		if plain := p.plain[h]; plain != "" {
			if sealed, err = s.sealSecret(c.ID, h, plain); err != nil {
				return err
			}
		}
		if err := s.insertSecret(ctx, c.ID, h, sealed, c.UpdatedAt); err != nil {
			return err
		}
	}
	return s.d.Audit.Record(ctx, audit.Event{Action: p.action, Result: audit.OK, Actor: actorFile, Target: string(c.ID), Client: c.ID})
}

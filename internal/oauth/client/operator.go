package client

import (
	"encoding/json"
	"errors"
	"slices"
)

// What an operator changes about a client that registered itself is the operator's from then on: the
// row names those members, and an update by the client leaves them as they are ("the authorization
// server MAY ignore any null or empty values … or replace", RFC 7592 §2.2; the answer says what holds).

// describing are the members with which an application says who and where it is. They stay its own,
// whoever wrote them last: an operator who corrects an address does not take it over. Marks of ours
// have rules of their own.
var describing = []string{
	"redirect_uris", "post_logout_redirect_uris", "jwks", "jwks_uri", "client_uri", "logo_uri", "policy_uri", "tos_uri",
	"contacts", "software_id", "software_version", "initiate_login_uri", "sector_identifier_uri", "request_uris",
	"frontchannel_logout_uri", "frontchannel_logout_session_required", "backchannel_logout_uri", "backchannel_logout_session_required",
	"first_party", "quarantined", "per_instance", "operator_members",
}

// demands are held to be an operator's in rows from before it was noted whose they are: what they ask
// of a client is never loosened by mistake.
var demands = []string{"profile", "require_pkce", "require_pushed_authorization_requests", "require_signed_request_object"}

// members are the metadata as they are stored.
func (m Metadata) members() (map[string]json.RawMessage, error) {
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	return all, json.Unmarshal(raw, &all)
}

// operators are the members that an operator has set.
func (m Metadata) operators(all map[string]json.RawMessage) []string {
	if m.OperatorMembers != nil {
		return m.OperatorMembers
	}
	return slices.DeleteFunc(slices.Clone(demands), func(name string) bool {
		v, found := all[name]
		return !found || string(v) == "false"
	})
}

// noteOperator notes in next what an operator changed. A member of Protocol that is set back to its
// default is given back to the client; the others have defaults that are decisions, too.
func noteOperator(old, next *Metadata) error {
	before, err := old.members()
	after, err2 := next.members()
	if err = errors.Join(err, err2); err != nil {
		return err
	}
	names := slices.Clone(old.operators(before))
	for _, s := range operable() {
		switch _, found := after[s.name]; {
		case string(before[s.name]) == string(after[s.name]):
		case !found && s.registry:
			names = without(names, s.name)
		case !slices.Contains(names, s.name):
			names = append(names, s.name)
		}
	}
	slices.Sort(names)
	next.OperatorMembers = append([]string{}, names...)
	return nil
}

// keepOperators puts what an operator set into next, which a client wrote.
func keepOperators(old, next Metadata) (Metadata, error) {
	held, err := old.members()
	all, err2 := next.members()
	if err = errors.Join(err, err2); err != nil {
		return next, err
	}
	names := append([]string{}, old.operators(held)...)
	for _, name := range names {
		if v, found := held[name]; found {
			all[name] = v
		} else {
			delete(all, name)
		}
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return next, err
	}
	var out Metadata
	err = json.Unmarshal(raw, &out)
	out.OperatorMembers = names
	return out, err
}

type operableMember struct {
	name     string
	registry bool // a member of Protocol
}

// operable lists the members that can become an operator's: all but those that describe.
func operable() []operableMember {
	var out []operableMember
	for _, s := range Settings() {
		out = append(out, operableMember{s.Name, true})
	}
	for _, name := range wireNames() {
		out = append(out, operableMember{name, false})
	}
	return slices.DeleteFunc(out, func(m operableMember) bool { return slices.Contains(describing, m.name) })
}

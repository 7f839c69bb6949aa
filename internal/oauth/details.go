package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"signet/internal/oauth/client"
)

// Limits of authorization_details. What exceeds one is refused whole.
const (
	maxDetailsText = 8 << 10
	maxDetails     = 16
	maxDetailDepth = 8
)

// The members with a meaning of their own (RFC 9396 §2.2). The lists can be narrowed entry by entry.
var (
	detailLists = []string{"locations", "actions", "datatypes", "privileges"}
	detailTexts = []string{"type", "identifier"}
)

// Detail is one authorization detail in words, for the page that asks a person.
type Detail struct {
	Type  string   // as on the wire
	Words string   // what the type allows, in the words of the operator
	Lines []string // its members with their values
}

// detail is one authorization detail. Its members stay as they were sent: what they mean is for the
// API, not for us (RFC 9396 §2).
type detail map[string]any

func (d detail) kind() string { s, _ := d["type"].(string); return s }

// strings returns a list member; nil if there is none.
func (d detail) strings(name string) []string {
	list, _ := d[name].([]any)
	var out []string
	for _, v := range list {
		s, _ := v.(string)
		out = append(out, s)
	}
	return out
}

// checkDetails reads authorization_details (RFC 9396 §2).
func checkDetails(_ context.Context, a *authorization) error {
	list, err := a.e.readDetails(a.client, a.get("authorization_details"))
	if err != nil || list == nil {
		return err
	}
	aud, _ := a.index.audience(a.e.issuer, a.client, a.req.Scopes, a.req.Resources, nil)
	for _, d := range list {
		if !d.at(aud) {
			return refuse(InvalidDetails, "locations names an API that the token is not for: ask with resource, too.")
		}
	}
	a.req.Details, err = json.Marshal(list)
	return err
}

// readDetails parses the parameter and checks that the client may send such details (§5). Without the
// parameter it returns nil.
func (e *Engine) readDetails(c *client.Client, text string) ([]detail, error) {
	if text == "" {
		return nil, nil
	}
	list, err := parseDetails(text)
	if err != nil {
		return nil, refuse(InvalidDetails, "authorization_details is not a sound list of objects with a type each.").because(err)
	}
	if written, err := json.Marshal(list); err != nil || len(written) > maxDetailsText { // escapes make it longer
		return nil, refuse(InvalidDetails, "authorization_details is too long.").because(err)
	}
	for _, d := range list {
		if !e.mayDetail(c, d.kind()) {
			return nil, refuse(InvalidDetails, "The application may not send authorization_details of one of the types.")
		}
	}
	return list, nil
}

// mayDetail reports whether the server knows the type and the client registered it (§10).
func (e *Engine) mayDetail(c *client.Client, kind string) bool {
	_, known := e.policy.DetailTypes[kind]
	return known && slices.Contains(c.Metadata.DetailTypes, kind)
}

// parseDetails reads a JSON array of objects within the limits. Members that stand twice are refused:
// two readers could take them for different things (RFC 8259 §4).
func parseDetails(text string) ([]detail, error) {
	if len(text) > maxDetailsText {
		return nil, fmt.Errorf("longer than %d bytes", maxDetailsText)
	}
	if err := soundJSON([]byte(text), maxDetailDepth); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber() // an amount goes to the API as it was approved
	var list []detail
	if err := dec.Decode(&list); err != nil {
		return nil, err
	}
	if len(list) == 0 || len(list) > maxDetails {
		return nil, fmt.Errorf("has %d elements", len(list))
	}
	for _, d := range list {
		if err := d.check(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (d detail) check() error {
	if d.kind() == "" {
		return errors.New("an element is no object with a type")
	}
	for _, name := range detailTexts {
		if v, found := d[name]; found {
			if _, ok := v.(string); !ok {
				return errors.New(name + " is not a text")
			}
		}
	}
	for _, name := range detailLists {
		v, found := d[name]
		if !found {
			continue
		}
		list, ok := v.([]any)
		if !ok || slices.ContainsFunc(list, func(one any) bool { _, ok := one.(string); return !ok }) {
			return errors.New(name + " is not a list of texts")
		}
	}
	return nil
}

// soundJSON checks that text is one JSON value without anything behind it, not deeper than depth, with
// no member twice in an object.
func soundJSON(text []byte, depth int) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := soundValue(dec, depth); err != nil {
		return err
	}
	if dec.More() || len(bytes.TrimSpace(text[dec.InputOffset():])) > 0 {
		return errors.New("something follows the value")
	}
	return nil
}

func soundValue(dec *json.Decoder, depth int) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth == 0 {
		return errors.New("too deep")
	}
	seen := map[string]bool{}
	for dec.More() {
		if open == '{' {
			name, err := dec.Token()
			if err != nil {
				return err
			}
			key, _ := name.(string)
			if seen[key] {
				return errors.New("a member stands twice")
			}
			seen[key] = true
		}
		if err := soundValue(dec, depth-1); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// at reports whether the detail concerns one of the audiences: it names none, or a place at or below
// one (RFC 9396 §2.2 locations).
func (d detail) at(aud []string) bool {
	places := d.strings("locations")
	return len(places) == 0 || slices.ContainsFunc(places, func(place string) bool {
		return slices.ContainsFunc(aud, func(a string) bool {
			return place == a || strings.HasPrefix(place, strings.TrimSuffix(a, "/")+"/")
		})
	})
}

// within reports whether the detail asks for no more than another that was granted (RFC 9396 §6): the
// same members, and in the lists with a known meaning at most the same entries. What other members
// mean only the API knows, so they must be equal.
func (d detail) within(granted detail) bool {
	if len(d) != len(granted) {
		return false
	}
	for name, v := range d {
		g, found := granted[name]
		switch {
		case !found:
			return false
		case slices.Contains(detailLists, name):
			have := granted.strings(name)
			asked := d.strings(name)
			if len(asked) == 0 && len(have) > 0 || slices.ContainsFunc(asked, func(s string) bool { return !slices.Contains(have, s) }) {
				return false
			}
		case !reflect.DeepEqual(v, g):
			return false
		}
	}
	return true
}

// covers reports whether each detail asked for is within a granted one of its own: a payment that was
// approved once is not in a token twice (RFC 9396 §6).
func covers(granted, asked []detail) bool {
	taken := make([]int, len(granted)) // by which of asked, counted from 1; 0 for none
	var place func(i int, tried []bool) bool
	place = func(i int, tried []bool) bool { // whoever is in the way moves, if there is room elsewhere
		for g, d := range granted {
			if tried[g] || !asked[i].within(d) {
				continue
			}
			tried[g] = true
			if taken[g] == 0 || place(taken[g]-1, tried) {
				taken[g] = i + 1
				return true
			}
		}
		return false
	}
	for i := range asked {
		if !place(i, make([]bool, len(granted))) {
			return false
		}
	}
	return true
}

// settleDetails says which of the granted details the token of this request carries: those asked for, or
// all (RFC 9396 §6), without those whose type was withdrawn since, and without those that are about
// another API than the token is for (§9.1).
func (e *Engine) settleDetails(f *flow, granted json.RawMessage, aud []string) error {
	asked, err := e.readDetails(f.client, f.form.Get("authorization_details"))
	if err != nil {
		return err
	}
	var have []detail
	if len(granted) > 0 {
		if have, err = parseDetails(string(granted)); err != nil {
			return err
		}
	}
	if !covers(have, asked) {
		return refuse(InvalidDetails, "authorization_details exceeds what was granted.")
	}
	if asked == nil {
		asked = have
	}
	return f.carry(slices.DeleteFunc(asked, func(d detail) bool { return !e.mayDetail(f.client, d.kind()) || !d.at(aud) }))
}

// askDetails takes the details that a client asks for by itself, where there is no earlier request that
// granted them.
func (e *Engine) askDetails(f *flow) error {
	list, err := e.readDetails(f.client, f.form.Get("authorization_details"))
	if err != nil || list == nil {
		return err
	}
	aud, _ := f.index.audience(e.issuer, f.client, f.scopes, f.grant.Resources, f.asked)
	if slices.ContainsFunc(list, func(d detail) bool { return !d.at(aud) }) {
		return refuse(InvalidDetails, "locations names an API that the token is not for: ask with resource, too.")
	}
	return f.carry(list)
}

// carry makes the tokens of the flow carry the details.
func (f *flow) carry(list []detail) (err error) {
	f.details = nil
	if len(list) > 0 {
		f.details, err = json.Marshal(list)
	}
	return err
}

// Details puts the authorization details of a request into words.
func (e *Engine) Details(r *Request) []Detail { return e.describeDetails(r.Details) }

func (e *Engine) describeDetails(raw json.RawMessage) []Detail {
	if len(raw) == 0 {
		return nil
	}
	list, err := parseDetails(string(raw))
	if err != nil { // it was checked before it was kept
		return []Detail{{Type: "?"}}
	}
	var out []Detail
	for _, d := range list {
		one := Detail{Type: d.kind(), Words: e.policy.DetailTypes[d.kind()]}
		names := make([]string, 0, len(d))
		for name := range d {
			if name != "type" {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			one.Lines = append(one.Lines, inWords("", name, d[name])...)
		}
		out = append(out, one)
	}
	return out
}

// inWords writes a member and its value as lines that a person can read; what lies deeper has the path
// to it in front.
func inWords(path, name string, v any) []string {
	if path != "" {
		name = path + "." + name
	}
	switch v := v.(type) {
	case map[string]any:
		var out []string
		names := make([]string, 0, len(v))
		for n := range v {
			names = append(names, n)
		}
		slices.Sort(names)
		for _, n := range names {
			out = append(out, inWords(name, n, v[n])...)
		}
		return out
	case []any:
		var words []string
		for _, one := range v {
			switch one.(type) {
			case map[string]any, []any: // a list of objects: each on lines of its own
				var out []string
				for i, one := range v {
					out = append(out, inWords(name, fmt.Sprint(i+1), one)...)
				}
				return out
			}
			words = append(words, fmt.Sprint(one))
		}
		return []string{name + ": " + strings.Join(words, ", ")}
	case nil:
		return []string{name + ": –"}
	}
	return []string{name + ": " + fmt.Sprint(v)}
}

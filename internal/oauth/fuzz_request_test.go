package oauth

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"signet/internal/oauth/client"
)

// FuzzRequestObject: whatever comes as a request object is read whole or not at all, and nothing passes as
// signed that the client did not sign.
func FuzzRequestObject(f *testing.F) {
	r := sqliteRig(f)
	k := newClientKey(f)
	c := must(r.clients.Get(f.Context(), r.signing(k, nil)))
	now := r.clock.Now()
	good := k.requestObject(f, r.objectClaims(c.ID, nil))
	f.Add(good)
	f.Add(unsecured(r.objectClaims(c.ID, nil)))
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add(strings.Replace(good, ".", ".e30.", 1))
	f.Fuzz(func(t *testing.T, text string) {
		o, err := readObject(text)
		if err != nil {
			return
		}
		if o.alg == "" || o.alg == "none" && !strings.HasSuffix(text, ".") || len(text) > maxObject {
			t.Fatalf("%q was read as %+v", text, o)
		}
		_ = o.check(testIssuer, c, c.Metadata.UnderFAPI(), now)
		if o.alg == "none" {
			return
		}
		if err := r.verifyObject(t.Context(), c, o, c.Metadata.RequestObjectAlg); err == nil && strings.SplitN(text, ".", 3)[1] != strings.SplitN(good, ".", 3)[1] {
			t.Fatalf("accepted %q", text)
		}
	})
}

// FuzzRequestObjectPayload signs what the fuzzer makes up: the parameters that come out are text that
// could have stood in a form, each once but resource.
func FuzzRequestObjectPayload(f *testing.F) {
	r := sqliteRig(f)
	r.policy.RequestObjects = "unsigned"
	c := r.newClient(client.Web, nil)
	f.Add(must(json.Marshal(r.objectClaims(c, nil))))
	f.Add([]byte(`{"scope":["openid"],"max_age":1e3,"claims":{"userinfo":[[[[]]]]},"resource":[null]}`))
	f.Add([]byte(`{"max_age":-0,"state":"\ud800","resource":["https://api.test","https://api.test"]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		text := "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString(payload) + "."
		o, err := readObject(text)
		if err != nil {
			return
		}
		form, err := o.members.form()
		if err != nil {
			return
		}
		for name, list := range form {
			if len(list) == 0 || len(list) > 1 && name != "resource" || slices.Contains(nestedObject, name) || slices.Contains(jwtMembers, name) {
				t.Fatalf("%s: %q", name, list)
			}
			for _, v := range list {
				if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
					t.Fatalf("%s: %q", name, v)
				}
			}
		}
		_, err = r.ParseAuthorize(t.Context(), values("client_id", string(c), "request", text))
		if err != nil {
			if e := AsError(err); !slices.Contains(Codes, e.Code) || e.Status < 400 || e.Status > 499 {
				t.Fatalf("%v (%d)", err, e.Status)
			}
		}
	})
}

// FuzzPush: whatever form is pushed, the answer is a usable request_uri or an error of the vocabulary.
func FuzzPush(f *testing.F) {
	r := sqliteRig(f)
	c := r.newClient(client.Web, nil)
	f.Add(ask(c).Encode())
	f.Add("request=a.b.c")
	f.Add("request_uri=urn:x&response_type=code")
	f.Fuzz(func(t *testing.T, body string) {
		form, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		h := http.Header{}
		if !form.Has("client_secret") && !form.Has("client_assertion") && !form.Has("client_assertion_type") {
			h = basic(string(c), r.secrets[c])
		}
		p, err := r.Push(t.Context(), post(h, form))
		if err != nil {
			if e := AsError(err); !slices.Contains(Codes, e.Code) || e.Status < 400 || e.Status > 499 || e.Redirect != nil {
				t.Fatalf("%v (%d)", err, e.Status)
			}
			return
		}
		req, err := r.ParseAuthorize(t.Context(), open(c, p.RequestURI))
		if err != nil || req.ClientID != c || !strings.HasPrefix(req.RedirectURI, testRedirect) {
			t.Fatalf("%+v, %v", req, err)
		}
	})
}

// FuzzRequestURI: nothing of ours opens by guessing, and nothing is fetched.
func FuzzRequestURI(f *testing.F) {
	r := sqliteRig(f)
	s := &shelf{}
	r.fetch, r.policy.RequestURIs = s, true
	c := r.newClient(client.Web, nil)
	good := r.push(c)
	f.Add(good)
	f.Add(pushedURN)
	f.Add(good[:len(good)-1] + "\n")
	f.Add("https://169.254.169.254/#x")
	f.Fuzz(func(t *testing.T, uri string) {
		_, err := r.ParseAuthorize(t.Context(), open(c, uri))
		if s.asked.Load() > 0 {
			t.Fatalf("%q was fetched", uri)
		}
		if uri == good {
			check(t, err)
		} else if e := AsError(err); err == nil || e.Code != InvalidRequestURI || e.Status != 400 {
			t.Fatalf("%q: %v", uri, err)
		}
	})
}

package pages

import (
	"context"
	"net/http"
	"time"

	"signet/internal/identity/notice"
	"signet/internal/identity/passkey"
	"signet/internal/platform/errs"
	"signet/internal/platform/seal"
	"signet/internal/server"
	"signet/internal/signin"
)

// passkeyRow is one passkey as its owner sees it.
type passkeyRow struct {
	ID, Name, Kind string
	Made, Used     instant
	Remove         string
}

func rowOf(loc *locale, c passkey.Credential) passkeyRow {
	kind := "passkeys.synced"
	if c.DeviceBound() {
		kind = "passkeys.bound"
	}
	name := c.Name
	if name == "" {
		name = loc.T("passkeys.unnamed")
	}
	return passkeyRow{
		ID: c.ID, Name: name, Kind: loc.T(kind), Made: loc.instant(c.CreatedAt), Used: loc.instant(c.LastUsedAt), Remove: removePath(c),
	}
}

func removePath(c passkey.Credential) string { return passkeysPath + "/" + c.ID + "/remove" }

type passkeysPage struct {
	Passkeys []passkeyRow
	Add      string
	Signal   string // JSON: which passkeys are good, for password managers
	Wrong    string // the row whose name was refused
}

func (p *Pages) passkeyList(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	return p.showPasskeys(w, r, m, http.StatusOK, p.passkeysView(r, m), "")
}

func (p *Pages) passkeysView(r *http.Request, m *member) *view {
	return p.accountView(r, m, "passkeys.title")
}

func (p *Pages) showPasskeys(w http.ResponseWriter, r *http.Request, m *member, status int, v *view, wrong string) error {
	list, err := p.d.Passkeys.List(r.Context(), m.account.ID)
	if err != nil {
		return err
	}
	signal, err := p.d.Passkeys.Signals(r.Context(), ownerOf(m.account))
	if err != nil {
		return err
	}
	data := passkeysPage{Add: passkeyAddPath, Signal: string(signal), Wrong: wrong}
	for _, c := range list {
		data.Passkeys = append(data.Passkeys, rowOf(m.loc, c))
	}
	v.Data = data
	return p.render(w, status, "passkeys", v)
}

func (p *Pages) passkeyRename(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	one := form.Get("passkey")
	err = p.d.Passkeys.Rename(r.Context(), m.account.ID, one, form.Get("name"))
	if errs.Is(err, errs.Invalid) {
		v := p.passkeysView(r, m)
		return p.showPasskeys(w, r, m, http.StatusUnprocessableEntity, v.fail("", m.loc.T(errs.As(err).Key, "Max", passkey.MaxName)), one)
	}
	if err != nil {
		return err
	}
	return seeOther(w, passkeysPath+"?saved=passkey_name")
}

func (p *Pages) passkeyAddForm(w http.ResponseWriter, r *http.Request) error {
	m, err := p.requireFresh(w, r)
	if m == nil || err != nil {
		return err
	}
	return p.showPasskeyAdd(w, r, m, http.StatusOK, p.accountView(r, m, "passkey_add.title"))
}

func (p *Pages) showPasskeyAdd(w http.ResponseWriter, r *http.Request, m *member, status int, v *view) error {
	options, err := p.d.Passkeys.RegisterOptions(r.Context(), ownerOf(m.account), sessionBinding(m.sess.ID))
	if e := errs.As(err); err != nil && e.Kind == errs.Conflict {
		return p.showPasskeys(w, r, m, http.StatusConflict, p.passkeysView(r, m).fail("", m.loc.T(e.Key)), "")
	}
	if err != nil {
		return err
	}
	v.Passkey = v.passkeyForm("create", passkeyAddPath, "passkey.create", options)
	v.Passkey.Primary, v.Passkey.Unable = true, v.T("passkey.unable")
	v.Data = struct{ List string }{passkeysPath}
	return p.render(w, status, "passkey_add", v)
}

func (p *Pages) passkeyAddOptions(w http.ResponseWriter, r *http.Request) error {
	m, err := p.requireFresh(w, r)
	if m == nil || err != nil {
		return err
	}
	options, err := p.d.Passkeys.RegisterOptions(r.Context(), ownerOf(m.account), sessionBinding(m.sess.ID))
	return sendOptions(w, options, err)
}

func (p *Pages) passkeyAdd(w http.ResponseWriter, r *http.Request) error {
	m, err := p.requireFresh(w, r)
	if m == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	var codes []seal.Secret
	_, err = p.d.Passkeys.Register(r.Context(), m.account.ID, sessionBinding(m.sess.ID), []byte(form.Get("answer")), deviceText(m.loc, r.UserAgent()),
		func(ctx context.Context, c passkey.Credential) (err error) {
			if codes, err = p.firstCodes(ctx, m.account.ID); err != nil {
				return err
			}
			return p.noticeAdded(ctx, m.account.ID, c)
		})
	if err != nil {
		status, text, ok := passkeyFailed(w, m.loc, err)
		if !ok {
			return err
		}
		return p.showPasskeyAdd(w, r, m, status, p.accountView(r, m, "passkey_add.title").fail("", text))
	}
	if codes != nil {
		return p.showFirstCodes(w, r, m, codes, "passkeys.added", passkeysPath)
	}
	return seeOther(w, passkeysPath+"?saved=passkey_added")
}

// passkeyOf finds the passkey that an address names, and the person, whose sign-in must be recent.
// Where to come back to after a new sign-in is made from what the store knows, not from the address.
func (p *Pages) passkeyOf(w http.ResponseWriter, r *http.Request) (*member, passkey.Credential, error) {
	m, err := p.admit(w, r, signin.Local{Target: passkeysPath})
	if m == nil || err != nil {
		return nil, passkey.Credential{}, err
	}
	c, err := p.d.Passkeys.ByID(r.Context(), m.account.ID, r.PathValue("passkey"))
	if err != nil {
		return nil, passkey.Credential{}, err
	}
	maxAge := int64(freshness / time.Second)
	m, err = p.admit(w, r, signin.Local{Target: removePath(c), MaxAge: &maxAge, Strong: true})
	return m, c, err
}

func (p *Pages) passkeyRemoveForm(w http.ResponseWriter, r *http.Request) error {
	m, c, err := p.passkeyOf(w, r)
	if m == nil || err != nil {
		return err
	}
	return p.showPasskeyRemove(w, m, c, http.StatusOK, p.accountView(r, m, "passkey_remove.title"))
}

func (p *Pages) showPasskeyRemove(w http.ResponseWriter, m *member, c passkey.Credential, status int, v *view) error {
	v.Data = struct {
		Passkey passkeyRow
		List    string
	}{rowOf(m.loc, c), passkeysPath}
	return p.render(w, status, "passkey_remove", v)
}

func (p *Pages) passkeyRemove(w http.ResponseWriter, r *http.Request) error {
	m, c, err := p.passkeyOf(w, r)
	if m == nil || err != nil {
		return err
	}
	err = p.d.Passkeys.Remove(r.Context(), m.account.ID, c.ID, func(ctx context.Context, c passkey.Credential) error {
		if err := p.factorGone(ctx, m.account.ID); err != nil {
			return err
		}
		return p.tell(ctx, m.account.ID, notice.FactorRemoved, map[string]any{"Factor": c.Name})
	})
	if key := errs.As(err).Key; key == passkey.KeyLastWay || key == keyLastFactor {
		return p.showPasskeyRemove(w, m, c, http.StatusConflict, p.accountView(r, m, "passkey_remove.title").fail("", m.loc.T(key)))
	}
	if err != nil {
		return err
	}
	return seeOther(w, passkeysPath+"?saved=passkey_removed")
}

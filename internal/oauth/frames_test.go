package oauth

import (
	"slices"
	"testing"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
)

// TestLogout_FrameWithoutASource, security case LO-08: a row from before such addresses were refused gets no
// frame, and the others keep theirs.
func TestLogout_FrameWithoutASource(t *testing.T) {
	t.Parallel()
	old := sqliteRig(t)
	front := func(m *client.Metadata) { m.FrontchannelLogoutURI = "https://rp.test/out" }
	var apps []id.Client
	for _, host := range []string{"a_b.test", "[2001:db8::1]:8443", "rp.test"} {
		c := old.newClient(client.Web, front)
		must(old.db.Q(t.Context()).Exec(t.Context(), `UPDATE client SET metadata = REPLACE(metadata, 'https://rp.test/out', $1) WHERE id = $2`, "https://"+host+"/out", string(c)))
		apps = append(apps, c)
	}
	r := old.again(old.db, old.db)
	r.policy.FrontchannelLogout = true
	for _, c := range apps {
		r.tokens(c)
	}
	f := must(r.RevokeSession(t.Context(), r.session))
	if !slices.Equal(f.Frames, []string{"https://rp.test/out"}) || len(f.Apps) != 1 {
		t.Errorf("%+v", f)
	}
}

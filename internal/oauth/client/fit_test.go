package client

import (
	"slices"
	"testing"
)

// A device has no redirect and no response type, and nobody has to say so.
func TestFitResponseTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ grants, have, want []string }{
		{[]string{GrantDeviceCode, GrantRefreshToken}, []string{"code"}, nil},
		{[]string{GrantAuthorizationCode, GrantDeviceCode}, nil, []string{"code"}},
		{[]string{GrantAuthorizationCode}, []string{"code"}, []string{"code"}},
		{[]string{GrantImplicit}, []string{"id_token"}, []string{"id_token"}},
	} {
		m := Defaults(Native)
		m.GrantTypes, m.ResponseTypes = c.grants, c.have
		if m.FitResponseTypes(); !slices.Equal(m.ResponseTypes, c.want) {
			t.Errorf("%v with %v gives %v", c.grants, c.have, m.ResponseTypes)
		}
	}
	m := Defaults(Native)
	m.GrantTypes = []string{GrantDeviceCode, GrantRefreshToken}
	if m.FitResponseTypes(); m.Validate(Native) != nil {
		t.Error(m.Validate(Native))
	}
}

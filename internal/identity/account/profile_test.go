package account

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signet/internal/platform/errs"
)

// OIDC Core §5.1: the claims and the forms of their values.
func TestProfile_Normalize(t *testing.T) {
	t.Parallel()
	in := Profile{
		Name: "  Jose\u0301 ", Website: "https://example.com/~jose?q=1", Picture: "http://cdn.example.com/p.png", Birthdate: "0000-02-29",
		Zoneinfo: "America/Argentina/Buenos_Aires", Locale: "en_us", PhoneNumber: "+1 (555) 010-9999", Gender: " ",
		Address: &Address{StreetAddress: "1 Main St\r\nApt 2 ", Country: "KR"},
	}
	want := Profile{
		Name: "Jos\u00e9", Website: "https://example.com/~jose?q=1", Picture: "http://cdn.example.com/p.png", Birthdate: "0000-02-29",
		Zoneinfo: "America/Argentina/Buenos_Aires", Locale: "en-US", PhoneNumber: "+15550109999",
		Address: &Address{StreetAddress: "1 Main St\nApt 2", Country: "KR"},
	}
	got, problems := in.normalize()
	if diff := cmp.Diff(want, got); diff != "" || len(problems) != 0 {
		t.Errorf("%v %s", problems, diff)
	}
	if again, problems := got.normalize(); !cmp.Equal(got, again) || len(problems) != 0 {
		t.Errorf("not idempotent: %s", cmp.Diff(got, again))
	}
	if in.Address.StreetAddress != "1 Main St\r\nApt 2 " {
		t.Error("the caller's address was changed")
	}
	if got, _ := (Profile{Address: &Address{Country: " "}, PhoneVerified: true}).normalize(); got != (Profile{}) {
		t.Errorf("empty: %+v", got)
	}
}

func TestProfile_Refuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		p          Profile
		field, key string
	}{
		{Profile{Name: strings.Repeat("x", 201)}, "name", KeyTooLong},
		{Profile{Name: "a\nb"}, "name", KeyBadCharacters},
		{Profile{Name: "a\x00b"}, "name", KeyBadCharacters},
		{Profile{Name: "evil\u202egnp.exe"}, "name", KeyBadCharacters},
		{Profile{Name: "a\u2066b"}, "name", KeyBadCharacters},
		{Profile{Name: "a\u2028b"}, "name", KeyBadCharacters},
		{Profile{Name: "zero\u200bwidth"}, "name", KeyBadCharacters},
		{Profile{Name: "a\xffb"}, "name", KeyBadCharacters},
		{Profile{Website: "javascript:alert(1)"}, "website", KeyURLInvalid},
		{Profile{Website: "data:text/html,x"}, "website", KeyURLInvalid},
		{Profile{Website: "//example.com"}, "website", KeyURLInvalid},
		{Profile{Website: "https:example.com"}, "website", KeyURLInvalid},
		{Profile{Website: "https://"}, "website", KeyURLInvalid},
		{Profile{Website: "https://:80/"}, "website", KeyURLInvalid},
		{Profile{Website: "https://user:pw@example.com"}, "website", KeyURLInvalid},
		{Profile{Website: "https://exam ple.com"}, "website", KeyURLInvalid},
		{Profile{Website: `https://example.com/"onload=`}, "website", KeyURLInvalid},
		{Profile{Website: `https:/\example.com`}, "website", KeyURLInvalid},
		{Profile{Picture: "https://example.com/" + strings.Repeat("x", 2048)}, "picture", KeyTooLong},
		{Profile{ProfileURL: "ftp://example.com"}, "profile", KeyURLInvalid},
		{Profile{Birthdate: "1990-02-30"}, "birthdate", KeyBirthdateInvalid},
		{Profile{Birthdate: "30.01.1990"}, "birthdate", KeyBirthdateInvalid},
		{Profile{Birthdate: "1990-1-2"}, "birthdate", KeyBirthdateInvalid},
		{Profile{Zoneinfo: "../../etc/passwd"}, "zoneinfo", KeyZoneinfoInvalid},
		{Profile{Zoneinfo: "Europe/Paris\n"}, "zoneinfo", ""},
		{Profile{Zoneinfo: "Europe/Paris x"}, "zoneinfo", KeyZoneinfoInvalid},
		{Profile{Locale: "not a locale"}, "locale", KeyLocaleInvalid},
		{Profile{PhoneNumber: "555-0109"}, "phone_number", KeyPhoneInvalid},
		{Profile{PhoneNumber: "+12345678901234567"}, "phone_number", KeyPhoneInvalid},
		{Profile{PhoneNumber: "+1 call me"}, "phone_number", KeyPhoneInvalid},
		{Profile{Address: &Address{StreetAddress: strings.Repeat("x", 301)}}, "street_address", KeyTooLong},
		{Profile{Address: &Address{Country: "a\nb"}}, "country", KeyBadCharacters},
	}
	for _, tt := range tests {
		_, problems := tt.p.normalize()
		if tt.key == "" {
			if len(problems) != 0 {
				t.Errorf("%+v: %v", tt.p, problems)
			}
			continue
		}
		if len(problems) != 1 || errs.As(problems[0]).Field != tt.field || errs.As(problems[0]).Key != tt.key {
			t.Errorf("%.60v: %v, want %s %s", tt.p, problems, tt.field, tt.key)
		}
	}
}

// OIDC Core §5.1: what is unknown is left out, verified flags come with their claim.
func TestAccount_Claims(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	if diff := cmp.Diff(map[string]any{"updated_at": at.Unix()}, Account{UpdatedAt: at}.Claims()); diff != "" {
		t.Errorf("empty account: %s", diff)
	}
	a := Account{Username: "Bob", Email: "bob@example.com", UpdatedAt: at, Profile: Profile{
		Name: "Bob B", GivenName: "Bob", FamilyName: "B", MiddleName: "M", Nickname: "bb", ProfileURL: "https://p.example", Picture: "https://i.example",
		Website: "https://w.example", Gender: "male", Birthdate: "1990", Zoneinfo: "Asia/Seoul", Locale: "ko", PhoneNumber: "+821012345678",
		Address: &Address{Locality: "Seoul"},
	}}
	want := map[string]any{
		"name": "Bob B", "given_name": "Bob", "family_name": "B", "middle_name": "M", "nickname": "bb", "preferred_username": "Bob",
		"profile": "https://p.example", "picture": "https://i.example", "website": "https://w.example", "email": "bob@example.com", "email_verified": false,
		"gender": "male", "birthdate": "1990", "zoneinfo": "Asia/Seoul", "locale": "ko", "phone_number": "+821012345678", "phone_number_verified": false,
		"address": Address{Locality: "Seoul"}, "updated_at": at.Unix(),
	}
	if diff := cmp.Diff(want, a.Claims()); diff != "" {
		t.Error(diff)
	}
}

func FuzzProfile(f *testing.F) {
	f.Add("Jane\u0301", "https://example.com", "1990-01-02", "en-GB", "+15550109999", "1 Main St\nX")
	f.Fuzz(func(t *testing.T, name, site, birth, loc, phone, street string) {
		p := Profile{Name: name, Website: site, Birthdate: birth, Locale: loc, PhoneNumber: phone, Zoneinfo: name, Address: &Address{StreetAddress: street}}
		got, problems := p.normalize()
		if errors.Join(problems...) != nil {
			return
		}
		again, problems := got.normalize()
		if len(problems) != 0 || !cmp.Equal(got, again) {
			t.Fatalf("not idempotent: %v %s", problems, cmp.Diff(got, again))
		}
		if got.Website != "" && !strings.HasPrefix(strings.ToLower(got.Website), "http") {
			t.Fatalf("website %q", got.Website)
		}
	})
}

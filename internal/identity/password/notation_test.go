package password

import (
	"context"
	"errors"
	"strings"
	"testing"

	"signet/internal/platform/seal"
)

const tulips = "tulips and herons"

// Each was made by the system named, for the password tulips unless another stands there.
var foreignHashes = []struct {
	name, stored, pw string
	scheme           Scheme
}{
	{"Django pbkdf2_sha256", "pbkdf2_sha256$1200$vkc4cK3kUuGiDJfJLc4335$Hw53ZjyakJbMA6GabrXiDCNWzCNHnPJp/FXPSFdqdjo=", tulips, PBKDF2},
	{"Django pbkdf2_sha1", "pbkdf2_sha1$1200$UqyC30H1OXHos6jSBrmK7v$gLF0mlIis4engP8Ai7sFeIBzu1Q=", tulips, PBKDF2},
	{"Django argon2", "argon2$argon2id$v=19$m=102400,t=2,p=8$WkJMOFVTaGJjN0s4N2FCUlBrQ1hwMw$gr6arMOaJO6uayEzj5P6bRuSZjsz4mh3Qyn4+RkVD14", tulips, Argon2id},
	{"Django bcrypt_sha256", "bcrypt_sha256$$2b$05$FQfN3yBJcl8eOVTX.owwTeKYgEmBlXsI7oSU2YC20Bb/pya6uDrEy", tulips, BcryptSHA256},
	{"Django bcrypt", "bcrypt$$2b$05$PYS5.hn58gt1fqiBBA6rp.saT4HT0eu0IfclwhO6ZRHSo.pkYcFIy", tulips, Bcrypt},
	{"Django scrypt", "scrypt$16384$zK3A6WsRc6BLADKs0bhump$8$5$+n8efISlp+NO7b2KJv9zQ1aZTj6OcKTAMkzBVByEMMWliV7qShENAgtP8vXgxoGwJheTM3sf/6e1htQcoRK33g==", tulips, Scrypt},
	{"Werkzeug scrypt", "scrypt:32768:8:1$VPs0YeXpStHN50Te$b39a44a743b02c70432f812bb6815667c6d2945178d9c82952344ab23164e3b9adc2e57a05da0ff15737917439db7213057904f89175af5480df9cf437f662cf", tulips, Scrypt},
	{"Werkzeug pbkdf2:sha256", "pbkdf2:sha256:1500$HmPW93GlJTGPh9dt$73aeb2017e3f1a6ea7187723c9cab7b1d16c1e5d1ba64ca390428a888e770bd4", tulips, PBKDF2},
	{"Werkzeug pbkdf2:sha512", "pbkdf2:sha512:1500$oWqPesfHanKnDFsr$469d6318264be70f6069c460d420c5e76fab108ddd3ab79e554f6f35858977192f7a4bd42c29482b2d8af6b5f460016e17772b5f3c6c33d0a4801a0c78fc1ba0", tulips, PBKDF2},
	{"argon2-cffi id", "$argon2id$v=19$m=256,t=1,p=2$VNZkXdu49/rzQtlQ0Fe0Zw$6wo3TBUVpCPRvaJBu/IMxXp++Qv0ufvpHxZPeqei7Ww", tulips, Argon2id},
	{"argon2-cffi i", "$argon2i$v=19$m=64,t=3,p=1$W6faW6MHjfTUVBEgxiXVjA$mSrYJAdYJwIRf6c5KxuBzxr6jmjf8swYkJf/hrboHkg", tulips, Argon2i},
	{"passlib scrypt", "$scrypt$ln=8,r=8,p=1$LQUg5JyzFuI8R8j5X0up1Q$RkOmlFbBBrA8CG6KP+/d4jCi3WNsWTiNxL3zdjy3pZY", tulips, Scrypt},
	{"bcrypt 2b, not ASCII", "$2b$04$zgnfFX9d2wWjRJtGc3LJTupl.PTg5dPezn2TK2b5DVhtJoniU9Nt2", "Ünïcode pässwörd", Bcrypt},
	{"bcrypt 2a, 72 bytes and more", "$2a$04$A99oaFkua5VLkzKqrrVYteTuhldigt9/B/3QSf..XuXgF6otWekWS", strings.Repeat("x", 80), Bcrypt},
	{"crypt(3) 2y", "$2y$04$abcdefghijklmnopqrstuuD.98h86dvAsIFyQvps7tqnjYCZtuC0.", tulips, Bcrypt},
}

func TestVerify_ForeignNotations(t *testing.T) {
	t.Parallel()
	s := newService(t, Deps{})
	for _, tt := range foreignHashes {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if scheme, err := Recognize(tt.stored); err != nil || scheme != tt.scheme {
				t.Fatalf("recognised as %q, %v", scheme, err)
			}
			got, err := s.Verify(context.Background(), tt.stored, seal.Secret(tt.pw))
			if err != nil || !got.OK {
				t.Fatalf("right password: %+v, %v", got, err)
			}
			// Ours at the present cost stay; everything else is replaced at login.
			wantUpgrade := !strings.HasPrefix(tt.stored, "$argon2id$")
			if got.Upgrade != wantUpgrade {
				t.Errorf("upgrade %v, want %v", got.Upgrade, wantUpgrade)
			}
			got, err = s.Verify(context.Background(), tt.stored, seal.Secret("Tulips and herons"))
			if err != nil || got != (Result{}) {
				t.Errorf("wrong password: %+v, %v", got, err)
			}
		})
	}
}

// A hash string is input from outside: what it asks for is bounded before any of it is done.
func TestRecognize_RefusesHostileAndBroken(t *testing.T) {
	t.Parallel()
	const key = "6wo3TBUVpCPRvaJBu/IMxXp++Qv0ufvpHxZPeqei7Ww"
	const salt = "VNZkXdu49/rzQtlQ0Fe0Zw"
	tests := []struct {
		stored string
		want   error
	}{
		{"$argon2id$v=19$m=4194304,t=1,p=1$" + salt + "$" + key, ErrHostile}, // 4 GiB
		{"$argon2id$v=19$m=65536,t=1000000,p=1$" + salt + "$" + key, ErrHostile},
		{"$argon2id$v=19$m=262144,t=64,p=1$" + salt + "$" + key, ErrHostile}, // each bearable, not both
		{"$argon2id$v=19$m=99999999999999999999,t=1,p=1$" + salt + "$" + key, ErrHostile},
		{"$argon2id$v=19$m=256,t=1,p=255$" + salt + "$" + key, ErrHostile},
		{"$argon2id$v=19$m=256,t=0,p=1$" + salt + "$" + key, ErrMalformed},
		{"$argon2id$v=19$m=7,t=1,p=1$" + salt + "$" + key, ErrMalformed},
		{"$argon2id$v=16$m=256,t=1,p=1$" + salt + "$" + key, ErrMalformed},
		{"$argon2id$m=256,t=1,p=1$" + salt + "$" + key, ErrMalformed},
		{"$argon2id$v=19$t=1,m=256,p=1$" + salt + "$" + key, ErrMalformed},
		{"$argon2id$v=19$m=256,t=1,p=1$" + salt + "$", ErrMalformed},
		{"$argon2id$v=19$m=256,t=1,p=1$" + salt + "$AAAA", ErrMalformed}, // three bytes could be met by chance
		{"$argon2id$v=19$m=256,t=1,p=1$" + salt + "$" + key[:20] + "!" + key[21:], ErrMalformed},
		{"$argon2d$v=19$m=64,t=3,p=1$" + salt + "$" + key, ErrUnknown},
		{"$2b$31$abcdefghijklmnopqrstuuD.98h86dvAsIFyQvps7tqnjYCZtuC0.", ErrHostile},
		{"$2b$16$abcdefghijklmnopqrstuuD.98h86dvAsIFyQvps7tqnjYCZtuC0.", ErrHostile},
		{"$2b$05$abcdefghijklmnopqrstuuD.98h86dvAsIFyQvps7tqnj", ErrMalformed},
		{"$2b$xx$abcdefghijklmnopqrstuuD.98h86dvAsIFyQvps7tqnjYCZtuC0.", ErrMalformed},
		{"$2x$05$abcdefghijklmnopqrstuuD.98h86dvAsIFyQvps7tqnjYCZtuC0.", ErrUnknown},
		{"scrypt:1073741824:8:1$salt$" + strings.Repeat("ab", 32), ErrHostile},
		{"scrypt:32768:8:16$salt$" + strings.Repeat("ab", 32), nil},
		{"scrypt:131072:16:16$salt$" + strings.Repeat("ab", 32), ErrHostile},
		{"scrypt:32767:8:1$salt$" + strings.Repeat("ab", 32), ErrMalformed},
		{"scrypt:32768:0:1$salt$" + strings.Repeat("ab", 32), ErrMalformed},
		{"scrypt:32768:8$salt$" + strings.Repeat("ab", 32), ErrMalformed},
		{"scrypt:32768:8:1$salt$xyz", ErrMalformed},
		{"$scrypt$ln=30,r=8,p=1$" + salt + "$" + key, ErrHostile},
		{"$scrypt$ln=0,r=8,p=1$" + salt + "$" + key, ErrMalformed},
		{"pbkdf2_sha256$1000000000$salt$Hw53ZjyakJbMA6GabrXiDCNWzCNHnPJp/FXPSFdqdjo=", ErrHostile},
		{"pbkdf2_sha256$0$salt$Hw53ZjyakJbMA6GabrXiDCNWzCNHnPJp/FXPSFdqdjo=", ErrMalformed},
		{"pbkdf2_sha256$-5$salt$Hw53ZjyakJbMA6GabrXiDCNWzCNHnPJp/FXPSFdqdjo=", ErrMalformed},
		{"pbkdf2:md5:1000$salt$" + strings.Repeat("ab", 16), ErrMalformed},
		{"pbkdf2:sha256$salt$" + strings.Repeat("ab", 32), ErrMalformed},
		{"pbkdf2:sha256:1000$" + strings.Repeat("s", 600) + "$" + strings.Repeat("ab", 32), ErrMalformed},
		{"hunter2", ErrUnknown},
		{"!hrUsxYexW662AIbhyKm4edaASQHSPlixh6hKwlUE", ErrUnknown},
		{"5f4dcc3b5aa765d61d8327deb882cf99", ErrUnknown},
		{"", ErrUnknown},
	}
	s := newService(t, Deps{})
	for _, tt := range tests {
		_, err := Recognize(tt.stored)
		if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("%.60s: %v, want %v", tt.stored, err, tt.want)
		}
		if tt.want == nil {
			continue
		}
		// Such a row fails closed, without an error that would set the account apart.
		if got, err := s.Verify(context.Background(), tt.stored, tulips); err != nil || got.OK {
			t.Errorf("%.60s: verified %+v, %v", tt.stored, got, err)
		}
	}
}

// What Recognize accepts stays within the ceilings, and Verify neither panics nor accepts chance.
func FuzzRecognize(f *testing.F) {
	for _, h := range foreignHashes {
		f.Add(h.stored)
	}
	f.Add("$argon2id$v=19$m=4194304,t=1000000,p=1$VNZkXdu49/rzQtlQ0Fe0Zw$6wo3TBUVpCPRvaJBu")
	f.Fuzz(func(t *testing.T, stored string) {
		h, err := parse(stored)
		if err != nil {
			if !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrHostile) && !errors.Is(err, ErrMalformed) {
				t.Fatalf("undocumented error %v", err)
			}
			return
		}
		if h.scheme == "" || h.memoryKiB > maxMemoryKiB || (h.derive == nil) == (h.check == nil) {
			t.Fatalf("%+v", h)
		}
		if h.derive != nil && (len(h.want) < minKey || len(h.want) > maxKey) {
			t.Fatalf("key of %d bytes", len(h.want))
		}
		if uint64(h.params.MemoryKiB)*uint64(h.params.Time) > maxWorkKiB {
			t.Fatalf("work %+v", h.params)
		}
	})
}

package account

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

func mustCSV(t testing.TB, text string) Rows {
	t.Helper()
	r, err := CSV(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustJSON(t testing.TB, text string) Rows {
	t.Helper()
	r, err := JSONLines(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func values(columns string, rows ...[]string) Rows {
	i := 0
	return Table(strings.Fields(columns), func() ([]string, error) {
		if i == len(rows) {
			return nil, io.EOF
		}
		i++
		return rows[i-1], nil
	})
}

func (f *fixture) mustImport(rows Rows, o ImportOptions) Report {
	f.t.Helper()
	r, err := f.Import(f.ctx(), rows, o)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// The table that web tutorials make: users(id, username, password) with plain, weak passwords.
func TestImport_TutorialTableSignsIn(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		table := func() Rows {
			return values("id username password", []string{"1", "alice", "wonderland"}, []string{"2", "Bob", "123"}, []string{"3", "", "x"}, []string{"4", "ALICE", "again"}, []string{"5", "carol@example.com", "pw"})
		}
		want := Report{
			Columns: map[string]string{"username": "username", "password": "password"}, Ignored: []string{"id"}, Created: 3,
			Rejected: []RejectedRow{{3, "neither email nor username"}, {4, "same address or username as in line 1"}},
		}
		dry := f.mustImport(table(), ImportOptions{Source: "users.db", DryRun: true})
		wantDry := want
		wantDry.DryRun = true
		if diff := cmp.Diff(wantDry, dry); diff != "" {
			f.t.Errorf("dry run: %s", diff)
		}
		if n := f.count(`SELECT (SELECT count(*) FROM account) + (SELECT count(*) FROM audit_event)`); n != 0 {
			f.t.Fatalf("the dry run wrote %d rows", n)
		}
		if diff := cmp.Diff(want, f.mustImport(table(), ImportOptions{Source: "users.db"})); diff != "" {
			f.t.Error(diff)
		}
		for name, pw := range map[string]seal.Secret{"alice": "wonderland", "bob": "123", "carol@example.com": "pw"} {
			if _, err := f.Authenticate(f.ctx(), name, pw); err != nil {
				f.t.Errorf("%s: %v", name, err)
			}
		}
		if n := f.count(`SELECT count(*) FROM password_credential WHERE hash NOT LIKE '$argon2id$%'`); n != 0 {
			f.t.Errorf("%d passwords were not hashed", n)
		}
		if n := f.count(`SELECT count(*) FROM account WHERE source = 'import:users.db'`); n != 3 || f.audited("account.import", audit.OK) != 1 {
			f.t.Errorf("%d accounts of the source", n)
		}
		// Again: nothing new, nothing changed.
		again := f.mustImport(table(), ImportOptions{Source: "users.db"})
		if again.Created != 0 || again.Skipped != 3 || len(again.Rejected) != 2 {
			f.t.Errorf("second run: %+v", again)
		}
	})
}

func TestImport_HashesVerifyAndAreUpgradedAtLogin(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		hashes := []string{
			fmt.Sprintf("pbkdf2:sha256:10$salt$%x", pbkdf2SHA256(herons.Reveal(), "salt", 10)),
			"scrypt:1024:8:1$saltsalt$2acdf77cc0a221cb209817d411869bdcc9a1f9292100f4816fac5d8feb9dc35fa84a34b8ab1e9c2af94d37046e7e09b6da50239f4daf67d74b08029d9f7b0787",
			"$2y$04$abcdefghijklmnopqrstuuD.98h86dvAsIFyQvps7tqnjYCZtuC0.",
			"$argon2i$v=19$m=64,t=3,p=1$W6faW6MHjfTUVBEgxiXVjA$mSrYJAdYJwIRf6c5KxuBzxr6jmjf8swYkJf/hrboHkg",
			"bcrypt_sha256$$2b$05$FQfN3yBJcl8eOVTX.owwTeKYgEmBlXsI7oSU2YC20Bb/pya6uDrEy",
		}
		text := "email,password_hash\n"
		for i, h := range hashes {
			text += fmt.Sprintf("u%d@example.com,\"%s\"\n", i, h)
		}
		if r := f.mustImport(mustCSV(f.t, text), ImportOptions{Passwords: PasswordHash}); r.Created != len(hashes) {
			f.t.Fatalf("%+v", r)
		}
		for i := range hashes {
			pw := seal.Secret("tulips and herons")
			if i == 0 {
				pw = herons
			}
			a, err := f.Authenticate(f.ctx(), fmt.Sprintf("u%d@example.com", i), pw)
			if err != nil {
				f.t.Errorf("%s: %v", hashes[i], err)
				continue
			}
			if h := f.hashOf(a); !strings.HasPrefix(h, "$argon2id$") {
				f.t.Errorf("not upgraded: %s", h)
			}
		}
	})
}

// Every rejected row has its line and reason; the rows around it come in. No reason quotes a value.
func TestImport_ReportsBadRows(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		const secret = "planted-secret"
		text := strings.Join([]string{
			"E-Mail;Login;Password Hash;First name;is_active;birthday;verified;shoe size",
			"good1@example.com;good1;;Ann;1;1990-01-02;true;42",
			"not an address;x1;;;;;;",
			";bad name;;;;;;",
			"x2@example.com;has@sign;;;;;;",
			"x3@example.com;;$1$abc$" + secret + ";;;;;",
			"x4@example.com;;5f4dcc3b5aa765d61d8327deb882cf99;;;;;",
			"x5@example.com;;$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA;;;;;",
			"x6@example.com;;$2b$05$" + secret + ";;;;;",
			"x7@example.com;;;;maybe;;;",
			"x8@example.com;;;;;02.01.1990;;",
			"x9@example.com;;;a" + "\x07" + "b;;;;",
			"x10@example.com;too few",
			`x11@example.com;"` + secret,
			"good2@example.com;good2;" + secret + ";;0;;2024-05-06 07:08:09;",
			"x12@example.com;;" + strings.Repeat("p", 2000) + ";;;;;",
			"x13@example.com;;;" + strings.Repeat("n", 70000) + ";;;;",
			"x14@example.com;5\" disk;;;;;;",
			"x15@example.com;;;\xff;;;;",
			"good3@example.com;;!hrUsxYexW662AIbhyKm4edaASQHSPlixh6hKwlUE;\"Multi;quoted \"\"x\"\"\";;;;",
			"",
			"GOOD1@example.com;;;;;;;",
			"good4@example.com;good2;;;;;;",
		}, "\r\n")
		r := f.mustImport(mustCSV(f.t, "\xef\xbb\xbf"+text), ImportOptions{})
		want := Report{
			Columns: map[string]string{"email": "E-Mail", "username": "Login", "password": "Password Hash", "given_name": "First name", "active": "is_active", "birthdate": "birthday", "email_verified": "verified"},
			Ignored: []string{"shoe size"}, Created: 3, WithoutPassword: 2,
			Rejected: []RejectedRow{
				{3, "email is not a plain address"},
				{4, "username is not usable (1 to 64 letters, digits and signs without blanks)"},
				{5, "username contains an @: it could be taken for an address"},
				{6, "the password looks like a hash in an unknown notation"},
				{7, "the password looks like a hash in an unknown notation"},
				{8, "the password hash has cost parameters beyond what a login may take"},
				{9, "the password hash is malformed"},
				{10, "active is neither true nor false"},
				{11, "birthdate: birthdate invalid"},
				{12, "given_name: bad characters"},
				{13, "2 values for 8 columns"},
				{14, "a quote is not closed, or the row is too long"},
				{16, "the password is too long or holds a NUL"},
				{17, "longer than 65536 bytes"},
				{18, "a quote is never closed"},
				{19, "given_name is too long or not UTF-8"},
				{22, "same address or username as in line 2"},
				{23, "same address or username as in line 15"},
			},
		}
		if diff := cmp.Diff(want, r); diff != "" {
			f.t.Error(diff)
		}
		if strings.Contains(fmt.Sprint(r), secret) {
			f.t.Error("the report quotes a password")
		}
		a, err := f.ByIdentifier(f.ctx(), "good2")
		if err != nil || a.Status != Disabled || !a.EmailVerified {
			f.t.Errorf("%+v, %v", a, err)
		}
		if a, err = f.ByIdentifier(f.ctx(), "good3@example.com"); err != nil || a.Profile.GivenName != `Multi;quoted "x"` || a.Status != Active {
			f.t.Errorf("%+v, %v", a, err)
		}
	})
}

func TestImport_JSONLines(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		text := strings.Join([]string{
			`{"id": 7, "username": "jane", "email": null, "password": "old \u00e9 secret", "active": true}`,
			``,
			`{"username": "kim", "name": "Kim", "address": {"street_address": "1 Main St", "country": "KR"}, "email": "kim@example.com", "email_verified": true}`,
			`{"username": "list", "roles": ["a"]}`,
			`{"username": "twice", "username": "other"}`,
			`{"username": "two"} {"username": "values"}`,
			`not json`,
			`["username"]`,
			`{"username": "open`,
			`{"username": "last", "address": "one line"}`,
		}, "\n")
		r := f.mustImport(mustJSON(f.t, text), ImportOptions{Source: "x.jsonl"})
		bad := "not one JSON object of plain values"
		want := []RejectedRow{{4, bad}, {5, bad}, {6, bad}, {7, bad}, {8, bad}, {9, bad}}
		if diff := cmp.Diff(want, r.Rejected); diff != "" || r.Created != 3 {
			f.t.Errorf("%+v %s", r, diff)
		}
		a, err := f.ByIdentifier(f.ctx(), "kim")
		wantProfile := Profile{Name: "Kim", Address: &Address{StreetAddress: "1 Main St", Country: "KR"}}
		if diff := cmp.Diff(wantProfile, a.Profile); err != nil || diff != "" || !a.EmailVerified {
			f.t.Errorf("%v %s", err, diff)
		}
		if _, err := f.Authenticate(f.ctx(), "jane", "old é secret"); err != nil {
			f.t.Error(err)
		}
	})
}

// The operator's word on a phone number counts as on an address. A value that is neither true nor false is an
// error of its row; of no number it says nothing.
func TestImport_PhoneVerified(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		for _, column := range []string{"phone_number_verified", "Phone Verified"} {
			name := strings.ToLower(column[:1]) + strconv.Itoa(len(column))
			r := f.mustImport(mustCSV(f.t, strings.Join([]string{
				"username,phone," + column,
				name + "yes,+1 555 010 9999,t",
				name + "since,+1 555 010 9999,2024-01-02 03:04:05",
				name + "no,+1 555 010 9999,0",
				name + "none,,true",
				name + "what,+1 555 010 9999,maybe",
				name + "left-out,+1 555 010 9999,",
			}, "\n")), ImportOptions{})
			if diff := cmp.Diff([]RejectedRow{{6, "phone_number_verified is neither true nor false"}}, r.Rejected); diff != "" || len(r.Ignored) != 0 {
				f.t.Errorf("%s: %+v %s", column, r, diff)
			}
			for who, want := range map[string]any{"yes": true, "since": true, "no": false, "none": nil, "left-out": false} {
				a, err := f.ByIdentifier(f.ctx(), name+who)
				if got := a.Claims()["phone_number_verified"]; err != nil || got != want {
					f.t.Errorf("%s, %s: %v, want %v (%v)", column, who, got, want, err)
				}
			}
		}
	})
}

// A member that JSON lines have for the first time when the columns are chosen already is not lost silently.
func TestImport_LateMembers(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		var text strings.Builder
		for n := range jsonAhead {
			fmt.Fprintf(&text, `{"username": "user%d", "name": "N"}`+"\n", n)
		}
		text.WriteString(`{"username": "late", "name": "N", "Phone": "+15550109999"}` + "\n")
		text.WriteString(`{"username": "null", "name": "N", "phone_number": null, "full_name": "M", "sub": "7"}` + "\n")
		r := f.mustImport(mustJSON(f.t, text.String()), ImportOptions{})
		if len(r.Rejected) != 1 || r.Rejected[0].Line != jsonAhead+1 || !strings.HasPrefix(r.Rejected[0].Reason, "phone_number comes here for the first time") || r.Created != jsonAhead+1 {
			f.t.Errorf("%d created, rejected %+v", r.Created, r.Rejected)
		}
	})
}

func TestImport_SkipsExistingAndToldApartConflicts(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		f.signUp("alice@example.com", "alice")
		f.signUp("bob@example.com", "bob")
		r := f.mustImport(mustCSV(f.t, strings.Join([]string{
			"email,username,password",
			"ALICE@example.com,alice,x",     // the same
			"bob@example.com,,x",            // known by address
			"alice@example.com,newname,x2",  // would be a duplicate in the file: rejected before
			"new@example.com,bob,x",         // somebody else's username
			"fresh@example.com,fresh,fresh", // new
		}, "\n")), ImportOptions{})
		if r.Created != 1 || r.Skipped != 2 {
			f.t.Errorf("%+v", r)
		}
		want := []RejectedRow{{4, "same address or username as in line 2"}, {5, "the username belongs to an account with another address"}}
		if diff := cmp.Diff(want, r.Rejected); diff != "" {
			f.t.Error(diff)
		}
		if _, err := f.Authenticate(f.ctx(), "alice", herons); err != nil {
			f.t.Errorf("an existing account was changed: %v", err)
		}
	})
}

func TestImport_ColumnsMustMakeSense(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		for name, o := range map[string]ImportOptions{
			"no such column": {Columns: map[string]string{"email": "mail"}},
			"no such field":  {Columns: map[string]string{"is_admin": "a", "email": "a"}}, // nothing but the fields (SU-09)
			"nothing usable": {},
			"bad format":     {Columns: map[string]string{"email": "a"}, Passwords: "rot13"},
		} {
			if _, err := f.Import(f.ctx(), mustCSV(f.t, "a,b\n1,2\n"), o); !errs.Is(err, errs.Invalid) {
				f.t.Errorf("%s: %v", name, err)
			}
		}
		r := f.mustImport(mustCSV(f.t, "a,b\nx@example.com,plain\n"), ImportOptions{Columns: map[string]string{"email": "a", "password": "b"}, Passwords: PasswordPlain})
		if r.Created != 1 {
			f.t.Errorf("%+v", r)
		}
	})
	for _, text := range []string{"", "\"open", "a,a\n", strings.Repeat("x,", 300) + "x\n", strings.Repeat("x", 100000) + "\n"} {
		if _, err := CSV(strings.NewReader(text)); !errs.Is(err, errs.Invalid) {
			t.Errorf("CSV %.10q: %v", text, err)
		}
	}
	for _, text := range []string{"", "\n\n", "[]\n", "null"} {
		if _, err := JSONLines(strings.NewReader(text)); !errs.Is(err, errs.Invalid) {
			t.Errorf("JSON lines %.10q: %v", text, err)
		}
	}
}

// A fault at every statement of an import: a batch is whole or not there, and running the import
// again completes it.
func TestImport_Faults(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
			for n := int64(1); ; n++ {
				text := "email,username,password\n"
				for i := range 3 {
					text += fmt.Sprintf("u%d-%d-%d@example.com,u%d-%d-%d,pw\n", mode, n, i, mode, n, i)
				}
				before := f.count(`SELECT count(*) FROM account`)
				faulty, seen := storetest.FailAt(f.db, n, mode)
				_, err := newService(f.t, faulty, f.clock).Import(f.ctx(), mustCSV(f.t, text), ImportOptions{})
				made := f.count(`SELECT count(*) FROM account`) - before
				if (err == nil) != (made == 3) || err != nil && made != 0 {
					f.t.Errorf("statement %d: %v and %d accounts", n, err, made)
				}
				if r := f.mustImport(mustCSV(f.t, text), ImportOptions{}); r.Created+r.Skipped != 3 {
					f.t.Errorf("again: %+v", r)
				}
				if seen.Load() < n {
					break
				}
			}
		}
		accounts := f.count(`SELECT count(*) FROM account`)
		if e, p := f.count(`SELECT count(*) FROM email_address`), f.count(`SELECT count(*) FROM password_credential`); e != accounts || p != accounts {
			f.t.Errorf("%d accounts, %d addresses, %d passwords", accounts, e, p)
		}
	})
}

// A source that breaks in the middle is reported; what was read before it is in.
func TestImport_SourceBreaks(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		boom := errors.New("boom")
		n := 0
		rows := Table([]string{"username"}, func() ([]string, error) {
			if n++; n > 3 {
				return nil, boom
			}
			return []string{fmt.Sprintf("u%d", n)}, nil
		})
		r, err := f.Import(f.ctx(), rows, ImportOptions{})
		if !errors.Is(err, boom) || r.Created != 3 || f.count(`SELECT count(*) FROM account`) != 3 {
			f.t.Errorf("%+v, %v", r, err)
		}
	})
}

func manyRows(n int) string {
	var text strings.Builder
	text.WriteString("email,username,password\n")
	for i := range n {
		fmt.Fprintf(&text, "u%d@example.com,u%d,$2y$04$abcdefghijklmnopqrstuuD.98h86dvAsIFyQvps7tqnjYCZtuC0.\n", i, i)
	}
	return text.String()
}

func TestImport_ManyRowsInBatches(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		var progress []int
		r := f.mustImport(mustCSV(f.t, manyRows(1234)), ImportOptions{Progress: func(n int) { progress = append(progress, n) }})
		if r.Created != 1234 || len(r.Rejected) != 0 || f.count(`SELECT count(*) FROM email_address`) != 1234 || f.count(`SELECT count(*) FROM password_credential`) != 1234 {
			f.t.Errorf("created %d, rejected %d", r.Created, len(r.Rejected))
		}
		if diff := cmp.Diff([]int{500, 1000, 1234}, progress); diff != "" || f.audited("account.import", audit.OK) != 3 {
			f.t.Errorf("batches: %s", diff)
		}
	})
}

// BenchmarkImport is the speed of hashed rows, which must be that of the store.
func BenchmarkImport(b *testing.B) {
	const rows = 1000
	text := manyRows(rows)
	for b.Loop() {
		b.StopTimer()
		s := newService(b, storetest.Open(b, store.SQLite), clock.NewFake(start))
		source := mustCSV(b, text)
		b.StartTimer()
		if r, err := s.Import(b.Context(), source, ImportOptions{}); err != nil || r.Created != rows {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
}

// Whatever the bytes, reading ends, lines only go up, and every row is bounded.
func FuzzCSV(f *testing.F) {
	f.Add([]byte("a,b\n1,\"2\n3\"\n\"open\n4,5\n"))
	f.Add([]byte("a;b\r\n\"x\"\"y\";2\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, err := CSV(bytes.NewReader(b))
		if err != nil {
			return
		}
		drain(t, rows, bytes.Count(b, []byte("\n"))+1)
	})
}

func FuzzJSONLines(f *testing.F) {
	f.Add([]byte("{\"a\":1,\"address\":{\"country\":\"KR\"}}\n{\"a\":null}\n[]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, err := JSONLines(bytes.NewReader(b))
		if err != nil {
			return
		}
		drain(t, rows, bytes.Count(b, []byte("\n"))+1)
	})
}

func drain(t *testing.T, rows Rows, lines int) {
	t.Helper()
	m, mapErr := newMapping(rows.Columns(), ImportOptions{})
	last := 0
	for {
		r, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Line <= last || r.Line > lines {
			t.Fatalf("line %d after %d of %d", r.Line, last, lines)
		}
		last = r.Line
		if mapErr == nil && r.Problem == "" {
			if c, problem := m.candidate(r); problem == "" && c.row.email.key == "" && c.row.username.key == "" {
				t.Fatal("accepted without a name")
			}
		}
	}
}

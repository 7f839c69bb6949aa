package pages

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"signet/internal/platform/id"
)

// What a person reads, in both languages (what is for operators alone is left out).
func TestActivity_Sentences(t *testing.T) {
	t.Parallel()
	p := testPages(t)
	chrome, phone := "Chrome on Windows · 192.0.2.7", "Safari on iPhone · 192.0.2.7"
	chromeKo, phoneKo := "Chrome · Windows · 192.0.2.7", "Safari · iPhone · 192.0.2.7"
	for tag, want := range map[string][][2]string{
		"en": {
			{"Signed in with a password and an authenticator app", chrome}, {"Signed in with a passkey", chrome},
			{"Sign-in with a wrong password", chrome}, {"Signed out", chrome}, {"A sign-in elsewhere was ended", chrome},
			{"Added the passkey “<b>Phone</b>”", chrome}, {"Used a recovery code; 2 left", chrome}, {"Linked an account at GitHub", chrome},
			{"Password set", "by an administrator"}, {"Allowed Team Wiki to use the account", phone},
		},
		"ko": {
			{"로그인했어요 (비밀번호, 인증 앱)", chromeKo}, {"로그인했어요 (패스키)", chromeKo},
			{"잘못된 비밀번호로 로그인을 시도했어요", chromeKo}, {"로그아웃했어요", chromeKo}, {"다른 곳의 로그인을 종료했어요", chromeKo},
			{"패스키를 추가했어요: <b>Phone</b>", chromeKo}, {"복구 코드를 사용했어요. 2개 남았어요", chromeKo},
			{"다른 서비스의 계정을 연결했어요: GitHub", chromeKo},
			{"비밀번호를 설정했어요", "관리자가 처리"}, {"애플리케이션의 계정 사용을 허용했어요: Team Wiki", phoneKo},
		},
	} {
		var got [][2]string
		for _, rec := range sampleRecords() {
			if d, ok := deedOf(p.texts.byTag[tag], rec, map[id.Client]string{"c1": "Team Wiki"}); ok {
				got = append(got, [2]string{d.Text, d.Where})
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", tag, diff)
		}
	}
}

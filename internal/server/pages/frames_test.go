package pages

import "testing"

// TestFramePolicy_NeverWider, security case LO-08: whatever a page is asked to frame, its policy names hosts.
func TestFramePolicy_NeverWider(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		want   string
		frames []string
	}{
		{"", nil},
		{"; frame-src https://a.test http://localhost:3000", []string{"https://a.test/out?x=y", "http://localhost:3000/out", "https://a.test/other"}},
		{"", []string{"https://a_b.test/out", "https://[2001:db8::1]/out", "javascript:alert(1)", "data:text/html,x", "com.example.app:/out"}},
		{"; frame-src https://a.test", []string{"https://a_b.test/out", "https://a.test/out"}},
		{"", []string{"https://a.test;script-src/out", "//a.test", "https://*/out"}},
	} {
		if got := framePolicy(tc.frames); got != tc.want {
			t.Errorf("%q: %q", tc.frames, got)
		}
	}
}

package notice

import (
	"strings"
	"time"
)

// browsers and systems in the order in which their marks are telling: later ones imitate earlier
// ones. The User-Agent is a hint for its owner, nothing is decided by it.
var (
	browsers = [][2]string{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser", "Samsung Internet"}, {"Whale/", "Whale"},
		{"Firefox/", "Firefox"}, {"FxiOS", "Firefox"}, {"CriOS", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	}
	systems = [][2]string{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS", "ChromeOS"},
		{"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"},
	}
)

// Device reads the names of browser and system from a User-Agent; "" for what it does not say.
func Device(userAgent string) (browser, system string) {
	find := func(list [][2]string) string {
		for _, mark := range list {
			if strings.Contains(userAgent, mark[0]) {
				return mark[1]
			}
		}
		return ""
	}
	return find(browsers), find(systems)
}

// Browser names a browser in a sentence of the language.
func Browser(locale, userAgent string) string {
	korean := isKorean(locale)
	switch b, s := Device(userAgent); {
	case b != "" && s != "" && korean:
		return b + " · " + s
	case b != "" && s != "":
		return b + " on " + s
	case b+s != "":
		return b + s
	case korean:
		return "알 수 없는 브라우저"
	}
	return "an unknown browser"
}

// When writes a time in the person's time zone, or in UTC if we know none.
func When(locale, zone string, t time.Time) string {
	place, err := time.LoadLocation(zone) // "" is UTC
	if err != nil || zone == "Local" {
		place = time.UTC
	}
	if isKorean(locale) {
		return t.In(place).Format("2006년 1월 2일 15:04 MST")
	}
	return t.In(place).Format("2 January 2006, 15:04 MST")
}

func isKorean(locale string) bool { return locale == "ko" || strings.HasPrefix(locale, "ko-") }

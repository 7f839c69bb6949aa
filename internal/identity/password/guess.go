package password

import (
	_ "embed"
	"math"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// common.txt holds words that common passwords are made of, and common passwords themselves,
// most of them one to a line, lower case. Decorations (digits, years, capitals, doubled words,
// look-alike characters, keyboard walks) are not listed: guessable takes them apart.
//
//go:embed common.txt
var commonText string

// commonWords is built when first needed, so that starting the program does not wait for it.
var commonWords = sync.OnceValue(func() map[string]bool {
	m := make(map[string]bool, 4096)
	for w := range strings.FieldsSeq(commonText) {
		m[w] = true
	}
	return m
})

// weakBits is how many bits of guessing a password must be worth. Four words from the list, or
// three and something unguessable, are past it; a word or two with decorations are not. With
// the attempt budgets this leaves an online guesser nothing.
const weakBits = 36

// The price, in bits, of each way to continue a password.
const (
	bitsContext = 1   // a word about the person or service
	bitsWord    = 11  // one of the list
	bitsAgain   = 4   // something that came before
	bitsRun     = 4   // aaaa, 1234, dcba
	bitsWalk    = 6   // qwerty, 1qaz
	bitsYear    = 6   // 1950 to 2039
	bitsDigit   = 3.3 // any digit
	bitsLetter  = 4.7
	bitsOther   = 5 // punctuation
	bitsRare    = 7 // beyond ASCII: a larger alphabet
	bitsJoin    = 1 // one separator between words
	bitsHangul  = 9 // one syllable
	minWord     = 3
	maxWord     = 24
	minRun      = 3
	minWalk     = 4
)

// guessable reports whether a guesser who knows common.txt, the usual patterns and the words of
// context finds text within weakBits. It finds the cheapest way to put text together from those
// parts: dynamic programming over the at most MaxLength code points, well below a millisecond.
func guessable(text string, context []string) bool {
	text = plain(text)
	if commonWords()[squeeze(text)] {
		return true // a known phrase, whatever separates its words
	}
	runes := []rune(text)
	runes = runes[:unit(runes)] // said n times is worth hardly more than said once
	g := guess{runes: runes, best: make([]float64, len(runes)+1), context: map[string]bool{}}
	for _, w := range context {
		g.context[w] = true
	}
	for i := range runes {
		g.best[i+1] = math.Inf(1)
	}
	for i := range runes {
		if g.best[i] < weakBits { // no way leads back below
			g.extend(i)
		}
	}
	return g.best[len(runes)] < weakBits
}

// guess is the table of guessable: best[i] is the price of the first i code points.
type guess struct {
	runes   []rune
	best    []float64
	context map[string]bool
}

func (g *guess) offer(i, n int, bits float64) {
	g.best[i+n] = min(g.best[i+n], g.best[i]+bits)
}

// extend offers every way to go on from i.
func (g *guess) extend(i int) {
	rest := g.runes[i:]
	g.offer(i, 1, single(rest[0], i))
	before := string(g.runes[:i])
	common := commonWords()
	for n := minWord; n <= min(maxWord, len(rest)); n++ {
		w := string(rest[:n])
		l := letters(w)
		switch {
		case g.context[w], g.context[l]:
			g.offer(i, n, bitsContext)
		case strings.Contains(before, w):
			g.offer(i, n, bitsAgain)
		case common[w]:
			g.offer(i, n, bitsWord)
		case l != w && common[l]:
			g.offer(i, n, bitsWord+1)
		}
	}
	if n := run(rest); n >= minRun {
		g.offer(i, n, bitsRun)
	}
	for n := walk(rest); n >= minWalk; n-- {
		g.offer(i, n, bitsWalk)
	}
	if isYear(rest) {
		g.offer(i, 4, bitsYear)
	}
}

func single(r rune, at int) float64 {
	switch {
	case r >= '0' && r <= '9':
		return bitsDigit
	case r == ' ' || r == '-' || r == '_' || r == '.':
		if at > 0 {
			return bitsJoin
		}
		return bitsOther
	case r >= 'a' && r <= 'z':
		return bitsLetter
	case unicode.Is(unicode.Hangul, r):
		return bitsHangul
	case r < unicode.MaxASCII:
		return bitsOther
	}
	return bitsRare
}

// run returns how long the text goes on with the same step between code points: 0 (aaaa), +1
// (1234) or -1 (dcba).
func run(r []rune) int {
	if len(r) < 2 {
		return len(r)
	}
	step := r[1] - r[0]
	if r[0] == '9' && r[1] == '0' {
		step = 1
	}
	if step < -1 || step > 1 {
		return 1
	}
	n := 2
	for n < len(r) {
		d := r[n] - r[n-1]
		if r[n-1] == '9' && r[n] == '0' && step == 1 || r[n-1] == '0' && r[n] == '9' && step == -1 {
			d = step // 8901: the digits are a circle
		}
		if d != step {
			break
		}
		n++
	}
	return n
}

// keyboards are the lines along which fingers walk; each counts backwards too.
var keyboards = []string{
	"1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./", "!@#$%^&*()_+",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/", "qazwsxedcrfvtgbyhnujmikolp", "1q2w3e4r5t6y7u8i9o0p",
	"q1w2e3r4t5y6u7i8o9p0", "qwertzuiop", "azertyuiop", "qsdfghjklm", "yxcvbnm", "!qaz@wsx#edc$rfv%tgb",
	"147258369", "123654789", "741852963", "159357", "qweasdzxc", "asdfqwerzxcv",
	"qwertyuiopasdfghjklzxcvbnm", "asdfghjklqwertyuiop", "zxcvbnmasdfghjkl",
	"ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔ", "ㅁㄴㅇㄹㅎㅗㅓㅏㅣ", "йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю",
}

var keyboardLines = sync.OnceValue(func() []string {
	var out []string
	for _, k := range keyboards {
		r := []rune(k)
		back := make([]rune, len(r))
		for i := range r {
			back[len(r)-1-i] = r[i]
		}
		out = append(out, k, string(back))
	}
	return out
})

// walk returns the length of the longest keyboard walk at the start of r.
func walk(r []rune) int {
	n := 0
	for _, line := range keyboardLines() {
		for n < len(r) && strings.Contains(line, string(r[:n+1])) {
			n++
		}
	}
	return n
}

func isYear(r []rune) bool {
	if len(r) < 4 {
		return false
	}
	y := string(r[:4])
	return y >= "1950" && y <= "2039" && r[2] >= '0' && r[2] <= '9' && r[3] >= '0' && r[3] <= '9'
}

// unit returns the length of the shortest text of which r is a repetition: 3 for abcabcab.
func unit(r []rune) int {
	fail := make([]int, len(r)+1)
	for i, k := 1, 0; i < len(r); i++ {
		for k > 0 && r[i] != r[k] {
			k = fail[k]
		}
		if r[i] == r[k] {
			k++
		}
		fail[i+1] = k
	}
	if u := len(r) - fail[len(r)]; u <= len(r)/2 {
		return u
	}
	return len(r)
}

// plain folds case, which decorates more than it protects.
func plain(s string) string {
	if !utf8.ValidString(s) {
		return ""
	}
	return strings.ToLower(s)
}

var lookAlikes = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i", "8", "b", "9", "g", "6", "g", "2", "z", "+", "t")

// squeeze leaves letters and digits.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, s)
}

// letters undoes look-alike characters: p@55w0rd.
func letters(s string) string { return lookAlikes.Replace(s) }

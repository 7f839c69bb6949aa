package seal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestSeal_BoundToPlace(t *testing.T) {
	t.Parallel()
	s, err := New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	box := s.Seal("signing_key", "private", "k1", []byte("der"))
	if got, err := s.Open("signing_key", "private", "k1", box); err != nil || string(got) != "der" {
		t.Fatalf("open: %q %v", got, err)
	}
	if _, err := s.Open("signing_key", "private", "k2", box); err == nil {
		t.Error("value moved to another row was opened")
	}
	other, _ := New(bytes.Repeat([]byte{8}, 32))
	if _, err := other.Open("signing_key", "private", "k1", box); err == nil {
		t.Error("value opened under another master key")
	}
	box[len(box)-1] ^= 1
	if _, err := s.Open("signing_key", "private", "k1", box); err == nil {
		t.Error("changed value was opened")
	}
}

func TestSecret_NeverPrinted(t *testing.T) {
	t.Parallel()
	const plain = "hunter2-hunter2"
	s := Secret(plain)
	js, _ := json.Marshal(map[string]any{"a": s})
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", s, "struct", struct{ S Secret }{s})
	for _, out := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %q %x %s", s, s, s, s, s, s), string(js), log.String()} {
		if strings.Contains(out, plain) || strings.Contains(out, fmt.Sprintf("%x", plain)) {
			t.Errorf("secret printed: %s", out)
		}
	}
	if s.Reveal() != plain || !s.Equal(plain) || s.Equal(plain+"x") {
		t.Error("Reveal or Equal is wrong")
	}
}

func TestCreate_OneKeyForManyAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	keys := make([][]byte, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			s, err := Create(path)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = s.Subkey("x")
		})
	}
	wg.Wait()
	for _, k := range keys {
		if !bytes.Equal(k, keys[0]) {
			t.Fatal("two processes hold different master keys")
		}
	}
	st, _ := os.Stat(path)
	if st.Mode().Perm() != 0o600 {
		t.Errorf("mode %o, want 600", st.Mode().Perm())
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil {
		t.Error("a master key that everyone can read was accepted")
	}
}

func TestParse_Refuses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "short", strings.Repeat("A", 43), strings.Repeat("!", 43)} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("accepted %q", bad)
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("error prints the key: %v", err)
		}
	}
}

package account

import (
	"strconv"
	"sync"
	"testing"

	"signet/internal/platform/errs"
)

func TestChoices_KeptAndForgotten(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		a := f.signUp("ada@example.com", "ada")
		read := func(name, want string) {
			f.t.Helper()
			if got, err := f.Choice(f.ctx(), a.ID, name); err != nil || got != want {
				f.t.Errorf("%s is %q (%v), want %q", name, got, err, want)
			}
		}
		read("offer", "")
		for _, value := range []string{"never", `with "quotes" and 한글`, ""} {
			if err := f.Choose(f.ctx(), a.ID, "offer", value); err != nil {
				f.t.Fatal(err)
			}
			read("offer", value)
			read("other", "")
		}
		if err := f.Choose(f.ctx(), "nobody", "offer", "never"); !errs.Is(err, errs.NotFound) {
			f.t.Errorf("nobody's choice: %v", err)
		}
		if _, err := f.Choice(f.ctx(), "nobody", "offer"); !errs.Is(err, errs.NotFound) {
			f.t.Errorf("nobody's choice: %v", err)
		}
	})
}

func TestChoices_ManyAtOnceLoseNone(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		a := f.signUp("ada@example.com", "ada")
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				for {
					err := f.Choose(f.ctx(), a.ID, "c"+strconv.Itoa(i), "yes")
					if errs.Is(err, errs.Conflict) { // so many at once may overtake one more often than it tries
						continue
					}
					if err != nil {
						f.t.Error(err)
					}
					return
				}
			})
		}
		wg.Wait()
		for i := range 6 {
			if got, err := f.Choice(f.ctx(), a.ID, "c"+strconv.Itoa(i)); err != nil || got != "yes" {
				f.t.Errorf("choice %d is %q (%v)", i, got, err)
			}
		}
	})
}

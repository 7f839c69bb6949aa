package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"signet/internal/platform/seal"
)

// field is one key of the table, bound to its place in a Config.
type field struct {
	path  string // database.url
	tag   reflect.StructTag
	value reflect.Value
}

func (f field) key() string  { return f.tag.Get("key") }
func (f field) secret() bool { return f.value.Type() == typeSecret }
func (f field) section() bool {
	return f.value.Kind() == reflect.Struct && f.key() != "" && !scalar(f.value.Type())
}
func (f field) list() bool {
	return f.value.Kind() == reflect.Slice && f.value.Type().Elem().Kind() == reflect.Struct && !scalar(f.value.Type().Elem())
}
func (f field) env() string   { return envName(f.path) }
func (f field) isPath() bool  { return f.tag.Get("path") != "" }
func (f field) ownFlag() bool { return f.tag.Get("flag") != "" }

func envName(path string) string {
	return "SIGNET_" + strings.ToUpper(strings.NewReplacer(".", "_").Replace(path))
}

var (
	typeSecret   = reflect.TypeFor[seal.Secret]()
	typeDuration = reflect.TypeFor[time.Duration]()
	typePrefix   = reflect.TypeFor[netip.Prefix]()
	typeJSON     = reflect.TypeFor[json.RawMessage]()
	typeMap      = reflect.TypeFor[map[string]string]()
)

func scalar(t reflect.Type) bool { return t == typePrefix }

// children lists the fields of one struct.
func children(v reflect.Value, prefix string) []field {
	var list []field
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		key := sf.Tag.Get("key")
		if key == "" {
			continue
		}
		path := key
		if prefix != "" {
			path = prefix + "." + key
		}
		list = append(list, field{path: path, tag: sf.Tag, value: v.Field(i)})
	}
	return list
}

// leaves lists every key outside of the lists of clients and APIs.
func leaves(v reflect.Value, prefix string) []field {
	var out []field
	for _, f := range children(v, prefix) {
		switch {
		case f.section():
			out = append(out, leaves(f.value, f.path)...)
		case !f.list():
			out = append(out, f)
		}
	}
	return out
}

// setText parses text into the field. The error says what was expected, and what was found
// unless the field is secret.
func (f field) setText(s string) error {
	v := reflect.New(f.value.Type()).Elem()
	if err := f.parse(v, s); err != nil {
		return err
	}
	f.value.Set(v)
	return nil
}

func (f field) parse(v reflect.Value, s string) error {
	t := v.Type()
	switch {
	case t.Kind() == reflect.Pointer:
		e := reflect.New(t.Elem())
		if err := f.parse(e.Elem(), s); err != nil {
			return err
		}
		v.Set(e)
		return nil
	case t == typeDuration:
		d, err := parseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 90s, 10m, 24h or 30d", s)
		}
		v.SetInt(int64(d))
		return f.within(d, func(limit string) time.Duration { return must(parseDuration(limit)) })
	case t == typePrefix:
		p, err := parsePrefix(s)
		if err != nil {
			return fmt.Errorf("%q is not an address or network such as 10.0.0.1 or 10.0.0.0/8", s)
		}
		v.Set(reflect.ValueOf(p))
		return nil
	case t == typeJSON:
		if !json.Valid([]byte(s)) {
			return errors.New("is not JSON")
		}
		v.SetBytes([]byte(s))
		return nil
	}
	return f.parseBasic(v, s)
}

func (f field) parseBasic(v reflect.Value, s string) error {
	switch v.Kind() {
	case reflect.String:
		if list, ok := f.tag.Lookup("oneof"); ok {
			if all := strings.Split(list, ","); !slices.Contains(all, s) {
				return fmt.Errorf("%q is not one of %s", s, strings.Join(slices.DeleteFunc(all, func(x string) bool { return x == "" }), ", "))
			}
		}
		v.SetString(s)
	case reflect.Bool:
		if s != "true" && s != "false" {
			return fmt.Errorf("%q is not true or false", s)
		}
		v.SetBool(s == "true")
	case reflect.Int:
		n, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", s)
		}
		v.SetInt(int64(n))
		return f.within(time.Duration(n), func(limit string) time.Duration { return time.Duration(must(strconv.Atoi(limit))) })
	case reflect.Slice:
		return f.setList(v, splitList(s))
	default:
		return fmt.Errorf("cannot be set from text")
	}
	return nil
}

func (f field) setList(v reflect.Value, items []string) error {
	out := reflect.MakeSlice(v.Type(), 0, len(items))
	for _, item := range items {
		e := reflect.New(v.Type().Elem()).Elem()
		if err := f.parse(e, item); err != nil {
			return err
		}
		out = reflect.Append(out, e)
	}
	v.Set(out)
	return nil
}

// within checks the min and max of the tag; numbers pass as durations too.
func (f field) within(n time.Duration, read func(string) time.Duration) error {
	lo, hi := f.tag.Get("min"), f.tag.Get("max")
	if lo != "" && n < read(lo) || hi != "" && n > read(hi) {
		return fmt.Errorf("must be between %s and %s", lo, hi)
	}
	return nil
}

func splitList(s string) []string {
	var out []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// parseDuration adds days to Go's notation: lifetimes are mostly days.
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > 100_000 {
			return 0, errors.New("not a number of days")
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	return time.ParseDuration(s)
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // a limit in a struct tag; TestTable_TagsAreValid reads every one
	}
	return v
}

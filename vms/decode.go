package vms

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// decoder fills a VM from a decoded TOML tree and collects the mistakes.
//
// go-toml can decode into the VM directly, but it stops at the first wrong value, accepts Memory for memory and
// [disk] for [[disk]], and its errors name Go types. Decoding a tree of maps avoids all three.
type decoder struct {
	env    Env
	index  func() index // made when the first mistake needs a position
	nics   bool         // the text has a nic key
	errors Errors
	bad    map[string]bool // the keys with a mistake
}

// fail records a mistake in the value of a key.
func (d *decoder) fail(path, format string, args ...any) {
	at := d.index().find(path)
	d.bad[path] = true
	d.errors = append(d.errors, Error{
		File: d.env.File, Line: at.line, Column: at.column, Text: fmt.Sprintf(format, args...),
	})
}

// table decodes the keys of a table into a struct.
func (d *decoder) table(tree map[string]any, into reflect.Value, path string) {
	fields := fieldsOf(into.Type())
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		field, known := fields[key]
		if !known {
			d.unknown(path, key, slices.Sorted(maps.Keys(fields)))
			continue
		}
		d.value(tree[key], into.FieldByIndex(field.Index), field.Tag, join(path, key))
	}
}

// value decodes one value. An empty text counts as absent.
func (d *decoder) value(value any, into reflect.Value, tag reflect.StructTag, path string) {
	if value == "" {
		return
	}
	if text, ok := reflect.TypeAssert[encoding.TextUnmarshaler](into.Addr()); ok {
		d.text(value, text, path)
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		switch v := value.(type) {
		case map[string]any:
			d.table(v, into, path)
		case []any:
			d.fail(path, "%s: there is one of these, write %s", plain(path), header(path))
		default:
			d.fail(path, "%s = %s: must be a table, %s", plain(path), show(v), header(path))
		}
	case reflect.Slice:
		d.list(value, into, path)
	case reflect.String:
		d.string(value, into, tag, path)
	case reflect.Int, reflect.Uint16:
		d.number(value, into, tag, path)
	case reflect.Bool:
		if b, ok := value.(bool); ok {
			into.SetBool(b)
		} else {
			d.fail(path, "%s = %s: must be true or false", plain(path), show(value))
		}
	default:
		panic("no way to decode a " + into.Type().String()) // a bug in the types, which the first test finds
	}
}

// list decodes the elements of an array, or the tables of a [[list]].
func (d *decoder) list(value any, into reflect.Value, path string) {
	elements, ok := value.([]any)
	tables := into.Type().Elem().Kind() == reflect.Struct && !isText(into.Type().Elem())
	switch {
	case !ok && tables:
		d.fail(path, "%s: there can be several of these, write [[%s]]", plain(path), plain(path))
		return
	case !ok:
		d.fail(path, "%s = %s: must be a list, such as [\"…\"]", plain(path), show(value))
		return
	case len(elements) == 0:
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(elements), len(elements)))
	plainTexts := into.Type().Elem().Kind() == reflect.String
	for i, element := range elements {
		at := join(path, strconv.Itoa(i))
		if element == "" && !plainTexts { // value would treat it as absent, and a list has no default element
			d.fail(at, "%s = \"\": must not be empty", plain(at))
		}
		d.value(element, into.Index(i), "", at)
	}
}

// text decodes a text, or a number without a unit, by the type's own rule.
func (d *decoder) text(value any, into encoding.TextUnmarshaler, path string) {
	text, ok := value.(string)
	if n, number := value.(int64); number {
		text, ok = strconv.FormatInt(n, 10), true
	}
	err := errors.New("must be a text in quotes")
	if ok {
		err = into.UnmarshalText([]byte(text))
	}
	if err != nil {
		d.fail(path, "%s = %s: %v", plain(path), show(value), err)
	}
}

// string decodes a text by the rule that its tag names.
func (d *decoder) string(value any, into reflect.Value, tag reflect.StructTag, path string) {
	text, ok := value.(string)
	err := errors.New("must be a text in quotes")
	if ok {
		text, err = applyRule(tag.Get("is"), text, d.env)
	}
	if err != nil {
		d.fail(path, "%s = %s: %v", plain(path), show(value), err)
		return
	}
	into.SetString(text)
}

// number decodes a number between the bounds in its tag.
func (d *decoder) number(value any, into reflect.Value, tag reflect.StructTag, path string) {
	n, ok := value.(int64)
	if !ok {
		d.fail(path, "%s = %s: must be a whole number, without quotes", plain(path), show(value))
		return
	}
	least, most := bound(tag, "min"), bound(tag, "max")
	switch {
	case n < least:
		d.fail(path, "%s = %d: must be at least %d", plain(path), n, least)
		return
	case n > most:
		d.fail(path, "%s = %d: must be at most %d", plain(path), n, most)
		return
	}
	into.Set(reflect.ValueOf(n).Convert(into.Type()))
}

// bound returns the number in a tag.
func bound(tag reflect.StructTag, key string) int64 {
	n, err := strconv.ParseInt(tag.Get(key), 10, 64)
	if err != nil {
		panic("no bound: " + err.Error()) // a bug in a struct tag, which the first test finds
	}
	return n
}

// unknown records a key that no VM has, and suggests one. A top-level key below a [table] belongs to that table in
// TOML, which is a common mistake.
func (d *decoder) unknown(table, key string, known []string) {
	text := "unknown key " + show(key)
	if table != "" {
		text += " in " + header(table)
	}
	_, top := fieldsOf(reflect.TypeFor[VM]())[key]
	if near := meant(key, known); near != "" || !top {
		text += near
	} else {
		text += ": it belongs above the first [table]"
	}
	d.fail(join(table, key), "%s", text)
}

// fieldsOf returns the fields of a struct by the keys in their tags.
func fieldsOf(t reflect.Type) map[string]reflect.StructField { return schema()[t] }

// schema holds fieldsOf of every struct of a definition. It is computed once, since a thousand definitions look up
// each of their keys in it.
//
//nolint:gochecknoglobals // a constant, which Go cannot write as one
var schema = sync.OnceValue(func() map[reflect.Type]map[string]reflect.StructField {
	all := map[reflect.Type]map[string]reflect.StructField{}
	addFields(all, reflect.TypeFor[VM]())
	return all
})

// addFields adds a struct and the structs in it, also those in lists.
func addFields(all map[reflect.Type]map[string]reflect.StructField, t reflect.Type) {
	fields := map[string]reflect.StructField{}
	all[t] = fields
	for field := range t.Fields() {
		key := field.Tag.Get("toml")
		if key == "-" {
			continue
		}
		fields[key] = field
		inner := field.Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && !isText(inner) {
			addFields(all, inner)
		}
	}
}

// isText reports whether a type decodes its own text.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// join returns the path of a key in a table.
func join(table, key string) string {
	if table == "" {
		return key
	}
	return table + "." + key
}

// plain returns a path without the indexes of list elements, for errors, which have the line: disk.1.path becomes
// disk.path.
func plain(path string) string {
	var parts []string
	for part := range strings.SplitSeq(path, ".") {
		if _, err := strconv.Atoi(part); err != nil {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ".")
}

// header returns the header line of a table.
func header(path string) string {
	if name := plain(path); name != path {
		return "[[" + name + "]]"
	}
	return "[" + path + "]"
}

package vms

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/pelletier/go-toml/v2"
)

// Parse parses a definition and fills in the defaults. The error is an [Errors] with all mistakes; a TOML syntax
// error hides the mistakes after it.
//
// A byte order mark is skipped, since editors on other systems write one.
func Parse(data []byte, env Env) (VM, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if tooMany(data) {
		return VM{}, Errors{{File: env.File, Line: 1, Column: 1, Text: fmt.Sprintf("more than %d keys", mostKeys)}}
	}
	d := decoder{env: env, index: sync.OnceValue(func() index { return indexOf(data) }), bad: map[string]bool{}}
	var tree map[string]any
	if err := toml.Unmarshal(data, &tree); err != nil {
		return VM{}, d.syntax(err)
	}
	vm := VM{
		Name: env.Name, File: env.File,
		DataDir: env.DataDir, StateDir: env.StateDir, RunDir: env.RunDir,
	}
	_, d.nics = tree["nic"]
	d.table(tree, reflect.ValueOf(&vm).Elem(), "")
	d.fill(&vm)
	d.check(vm)
	if len(d.errors) > 0 {
		d.errors.sort()
		return VM{}, d.errors
	}
	vm.NICs = connected(vm.NICs)
	return vm, nil
}

// mostKeys is the maximal number of keys and tables in a definition. go-toml compares each with its siblings, so 1
// MiB of keys would take minutes.
const mostKeys = 10_000

// tooMany reports whether a text may have more than mostKeys keys and tables.
func tooMany(data []byte) bool {
	return bytes.Count(data, []byte("="))+bytes.Count(data, []byte("[")) > mostKeys
}

// syntax converts an error of go-toml. For a repeated key or table it adds the first position.
func (d *decoder) syntax(err error) Errors {
	e := Error{File: d.env.File, Line: 1, Column: 1, Text: strings.TrimPrefix(err.Error(), "toml: ")}
	if at, ok := errors.AsType[*toml.DecodeError](err); ok {
		e.Line, e.Column = at.Position()
	}
	if first, again := d.index().first[position{e.Line, e.Column}]; again {
		e.Text += fmt.Sprintf(" on line %d", first.line)
	}
	return Errors{e}
}

// connected returns the NICs without those of type none.
func connected(nics []NIC) []NIC {
	var kept []NIC
	for _, nic := range nics {
		if nic.Type != NICNone {
			kept = append(kept, nic)
		}
	}
	return kept
}

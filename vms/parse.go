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

// Parse reads a definition. The error is an [Errors] with all that is wrong; a
// mistake in TOML's own syntax hides what comes after it.
//
// A byte order mark is skipped, as editors on other systems write one.
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

// mostKeys is how many keys and tables a definition may have. go-toml compares
// each with its siblings: a MiB of keys would take it minutes.
const mostKeys = 10_000

// tooMany says whether a text can have more keys and tables than a definition.
func tooMany(data []byte) bool {
	return bytes.Count(data, []byte("="))+bytes.Count(data, []byte("[")) > mostKeys
}

// syntax is a mistake that go-toml found. For a key or table that comes twice
// it names the first place too.
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

// connected leaves the NICs out that are connected to nothing.
func connected(nics []NIC) []NIC {
	var kept []NIC
	for _, nic := range nics {
		if nic.Type != NICNone {
			kept = append(kept, nic)
		}
	}
	return kept
}

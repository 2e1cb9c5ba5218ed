package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"os"

	"github.com/pelletier/go-toml/v2"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/qlaunch/qlaunch/test/world"
)

// worldFile is the file of a script that says how its world differs from a host
// that was set up well; its keys are the fields of options.
const worldFile = "world.toml"

// options are the world's, and what the script asks of who makes it.
type options struct {
	world.Options
	Root     bool     // what is tried means something only where setuid and other users' files are real
	HostCPUs []string // the script runs once in a world with each of these; none given: in one world
}

// each gives a script's worlds, each with the name of its test.
func (o options) each(name string) iter.Seq2[string, options] {
	return func(yield func(string, options) bool) {
		if len(o.HostCPUs) == 0 {
			yield(name, o)
		}
		for _, cpu := range o.HostCPUs {
			one := o
			one.HostCPU = cpu
			if !yield(name+"/"+cpu, one) {
				return
			}
		}
	}
}

// sudo makes a program of that name for root's worlds. Whoever calls it becomes
// root: as far as following a hint goes, that is what sudo does.
const sudo = `install -m 4755 /usr/bin/env "$WORLD_DIR/bin/sudo"` + "\n"

// worldOf reads a script's world.
func worldOf(script string) (options, error) {
	var o options
	archive, err := txtar.ParseFile(script)
	if err != nil {
		return o, err
	}
	for _, f := range archive.Files {
		if f.Name != worldFile {
			continue
		}
		strict := toml.NewDecoder(bytes.NewReader(f.Data)).DisallowUnknownFields()
		if err := strict.Decode(&o); err != nil {
			if missing, ok := errors.AsType[*toml.StrictMissingError](err); ok {
				return o, fmt.Errorf("%s: %s:\n%s", script, worldFile, missing.String())
			}
			return o, fmt.Errorf("%s: %s: %w", script, worldFile, err)
		}
	}
	if os.Geteuid() == 0 {
		o.Setup = sudo + o.Setup
	}
	return o, nil
}

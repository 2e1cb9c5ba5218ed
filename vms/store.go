package vms

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Store finds the definitions of one user, and what belongs to each.
type Store struct {
	Dirs      Dirs
	Home      string // for ~/ in a definition
	Arch      string // the host's, in QEMU's spelling
	MachineID string // the host's
	UID       int    // the user's
}

// suffix is what the name of a definition's file ends in.
const suffix = ".toml"

// Names are the VMs that have a definition, sorted. A file whose name is not a
// VM's is none of ours. Without a directory there are no VMs.
func (s Store) Names() ([]string, error) {
	entries, err := os.ReadDir(s.Dirs.Config)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), suffix)
		if ok && !entry.IsDir() && CheckName(name) == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names) // by name: a-b.toml comes before a.toml, but a before a-b
	return names, nil
}

// Path is the file of a VM's definition.
func (s Store) Path(name string) string {
	return filepath.Join(s.Dirs.Config, name+suffix)
}

// Env is what the definition of a VM is read with.
func (s Store) Env(name, file string) Env {
	return Env{
		Name:      name,
		File:      file,
		Home:      s.Home,
		DataDir:   filepath.Join(s.Dirs.Data, "vms", name),
		StateDir:  filepath.Join(s.Dirs.State, name),
		RunDir:    filepath.Join(s.Dirs.Runtime, name),
		Arch:      s.Arch,
		MachineID: s.MachineID,
		UID:       s.UID,
	}
}

// Load reads the definition of a VM by its name, or by the path of a file: a
// word with a slash in it or .toml at its end. The VM in a file has the file's
// name.
//
// The error is one of [CheckName], one of the file (errors.Is tells
// fs.ErrNotExist when there is no such VM), or an [Errors].
func (s Store) Load(ref string) (VM, error) {
	name, file, err := s.Locate(ref)
	if err != nil {
		return VM{}, err
	}
	return s.load(name, file)
}

// Locate is the name and the file that a user's word for a VM leads to, whether
// or not there is such a file.
func (s Store) Locate(ref string) (name, file string, err error) {
	name, file = ref, s.Path(ref)
	if strings.Contains(ref, "/") || strings.HasSuffix(ref, suffix) {
		name = strings.TrimSuffix(filepath.Base(ref), suffix)
		if file, err = filepath.Abs(ref); err != nil {
			return "", "", err
		}
	}
	if err := CheckName(name); err != nil {
		return "", "", err
	}
	return name, file, nil
}

// Started reads the definition that a VM runs with: the copy that lies in its
// run directory from its start to its end, made by [Format]. Without that file
// the error is fs.ErrNotExist: the VM does not run.
func (s Store) Started(name string) (VM, error) {
	if err := CheckName(name); err != nil {
		return VM{}, err
	}
	return s.load(name, filepath.Join(s.Env(name, "").RunDir, StartedFile))
}

// Origin is the first line of a [StartedFile]: the file that the definition was read from.
func Origin(file string) []byte { return fmt.Appendf(nil, "%s%q\n", origin, file) }

const origin = "# from "

// Origin is the file that the definition came from that a VM runs with: one
// beside all others, mostly. For a VM that does not run it is the one of its name.
func (s Store) Origin(name string) string {
	data, err := ReadFile(filepath.Join(s.Env(name, "").RunDir, StartedFile))
	if err != nil {
		return s.Path(name)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	quoted, _ := strings.CutPrefix(line, origin)
	file, err := strconv.Unquote(quoted)
	if err != nil || !filepath.IsAbs(file) {
		return s.Path(name)
	}
	return file
}

// StartedFile is the name, in a VM's run directory, of the definition that it
// runs with.
const StartedFile = "config.toml"

func (s Store) load(name, file string) (VM, error) {
	data, err := ReadFile(file)
	if err != nil {
		return VM{}, err
	}
	return Parse(data, s.Env(name, file))
}

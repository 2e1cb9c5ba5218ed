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
		DataDir:   filepath.Join(s.Dirs.Data, subdirectory, name),
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

// IsPath tells the path of a definition from a VM's name.
func IsPath(ref string) bool { return strings.Contains(ref, "/") || strings.HasSuffix(ref, suffix) }

// Locate is the name and the file that a user's word for a VM leads to, whether
// or not there is such a file.
func (s Store) Locate(ref string) (name, file string, err error) {
	name, file = ref, s.Path(ref)
	if IsPath(ref) {
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
// run directory from its start to its end, made by [Head] and [Format], with the data and state
// directories of that start. Without that file the error is fs.ErrNotExist: the VM does not run.
func (s Store) Started(name, runDir string) (VM, error) {
	if err := CheckName(name); err != nil {
		return VM{}, err
	}
	file := filepath.Join(runDir, StartedFile)
	text, err := ReadFile(file)
	if err != nil {
		return VM{}, err
	}
	env := s.Env(name, file)
	env.RunDir = runDir
	head := readHead(text)
	for key, dir := range map[string]*string{headData: &env.DataDir, headState: &env.StateDir} {
		if filepath.Base(head[key]) == name {
			*dir = head[key]
		}
	}
	return Parse(text, env)
}

// Head is the first lines of a [StartedFile]: the file that the definition was
// read from, and the VM's directories.
func Head(vm VM) []byte {
	return fmt.Appendf(nil, "%s%q\n%s%q\n%s%q\n", headFrom, vm.File, headData, vm.DataDir, headState, vm.StateDir)
}

// What the lines of a head begin with. An earlier version wrote the first alone.
const (
	headFrom  = "# from "
	headData  = "# data "
	headState = "# state "
)

// readHead gives the paths of a head, by what their lines begin with. A line that says none is left out.
func readHead(text []byte) map[string]string {
	head := map[string]string{}
	for line := range strings.Lines(string(text)) {
		for _, key := range []string{headFrom, headData, headState} {
			quoted, found := strings.CutPrefix(strings.TrimSuffix(line, "\n"), key)
			path, err := strconv.Unquote(quoted)
			if _, twice := head[key]; found && !twice && err == nil && filepath.IsAbs(path) {
				head[key] = path
			}
		}
		if !strings.HasPrefix(line, "#") {
			break
		}
	}
	return head
}

// Origin is the file that the definition came from that a QEMU with a run directory was
// started with; empty when that is not known.
func Origin(runDir string) string {
	text, err := ReadFile(filepath.Join(runDir, StartedFile))
	if err != nil {
		return ""
	}
	return readHead(text)[headFrom]
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

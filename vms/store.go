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

// Store finds the definitions and the directories of one user's VMs.
type Store struct {
	Dirs      Dirs
	Home      string // for ~/ in a definition
	Arch      string // the host's, in QEMU's spelling
	MachineID string // the host's
	UID       int    // the user's
}

// suffix is the file name extension of a definition.
const suffix = ".toml"

// Names returns the names of the VMs that have a definition, sorted. Files whose names are not those of VMs are
// skipped. If the directory does not exist, there are no VMs.
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

// Path returns the path of a VM's definition.
func (s Store) Path(name string) string {
	return filepath.Join(s.Dirs.Config, name+suffix)
}

// Env returns the environment in which the definition of a VM is parsed.
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

// Load reads and parses the definition of a VM. ref is its name, or the path of a file: with a slash in it or .toml
// at its end. The VM has the name of the file.
//
// The error is that of [CheckName], that of the file (fs.ErrNotExist if there is no such VM), or an [Errors].
func (s Store) Load(ref string) (VM, error) {
	name, file, err := s.Locate(ref)
	if err != nil {
		return VM{}, err
	}
	return s.load(name, file)
}

// IsPath reports whether ref is the path of a definition, not a VM's name.
func IsPath(ref string) bool { return strings.Contains(ref, "/") || strings.HasSuffix(ref, suffix) }

// Locate returns the name and the definition's path of the VM that ref names, whether or not the file exists.
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

// Started reads the definition that a VM is running with: the copy in its run directory, which exists from the start
// to the end of the VM and is written with [Head] and [Format]. The VM has the data and state directories of that
// start. The error is fs.ErrNotExist if the VM does not run.
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

// Head returns the first lines of a [StartedFile]: the path of the original definition, and the VM's directories.
func Head(vm VM) []byte {
	return fmt.Appendf(nil, "%s%q\n%s%q\n%s%q\n", headFrom, vm.File, headData, vm.DataDir, headState, vm.StateDir)
}

// The prefixes of the lines of a head. An earlier version wrote only the first line.
const (
	headFrom  = "# from "
	headData  = "# data "
	headState = "# state "
)

// readHead returns the paths in a head, by their prefixes. It skips lines without an absolute path.
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

// Origin returns the path of the definition with which the QEMU of a run directory was started; empty if unknown.
func Origin(runDir string) string {
	text, err := ReadFile(filepath.Join(runDir, StartedFile))
	if err != nil {
		return ""
	}
	return readHead(text)[headFrom]
}

// StartedFile is the name of the definition in a VM's run directory.
const StartedFile = "config.toml"

func (s Store) load(name, file string) (VM, error) {
	data, err := ReadFile(file)
	if err != nil {
		return VM{}, err
	}
	return Parse(data, s.Env(name, file))
}

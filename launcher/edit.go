package launcher

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// Draft is a copy of a definition, in the same directory, that is being edited.
type Draft struct {
	Name   string // the VM's
	Path   string // the copy
	env    *Env
	file   string // the definition's path
	target string // the file that contains it, after following links
	before []byte
}

// Edit makes a draft of a VM's definition, which may contain mistakes. The caller must call Apply or Discard in the
// end.
func Edit(e *Env, ref string) (*Draft, error) {
	name, file, err := e.Store.Locate(ref)
	if err != nil {
		return nil, &DefinitionError{err}
	}
	d := &Draft{Name: name, env: e, file: file}
	d.target, err = filepath.EvalSymlinks(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NoVMError{ref, file}
	}
	if err != nil {
		return nil, err
	}
	if d.before, err = vms.ReadFile(d.target); err != nil {
		return nil, &DefinitionError{err}
	}
	// No VM can have this name, and the suffix shows editors the file type.
	f, err := os.CreateTemp(filepath.Dir(d.target), draftsOf(name))
	if err != nil {
		return nil, err
	}
	d.Path = f.Name()
	_, err = f.Write(d.before)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(d.Path))
	}
	return d, nil
}

// draftsOf returns the pattern of the names of a VM's drafts.
func draftsOf(name string) string { return "." + name + ".edit-*.toml" }

// removeDrafts removes the drafts of a definition that earlier edits left.
func removeDrafts(name, file string) error {
	target, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	dir := filepath.Dir(target)
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		if is, _ := filepath.Match(draftsOf(name), entry.Name()); is {
			err = errors.Join(err, os.Remove(filepath.Join(dir, entry.Name())))
		}
	}
	return err
}

// Apply replaces the definition by the draft, atomically, if the draft has no mistake. A notice says if nothing has
// changed, or if the VM runs and the change applies at its next start. After an error the draft still exists:
// vms.Errors has the positions of the mistakes in it, and a *vms.ClashError names the other VM.
func (d *Draft) Apply() error {
	text, err := vms.ReadFile(d.Path)
	if err != nil {
		return err
	}
	if bytes.Equal(text, d.before) {
		d.env.notice("%s: unchanged", d.Name)
		return os.Remove(d.Path)
	}
	vm, err := d.parse(text)
	if err != nil {
		return err
	}
	if err := d.save(); err != nil {
		return err
	}
	if at, err := qemu.Locate(vm, d.env.QEMUs); err == nil && qemu.IsRunning(at) {
		d.env.notice("%s: applies at the next start", d.Name)
	}
	return nil
}

// parse checks a text as the future definition. The positions of mistakes are those in the draft, which has the text.
func (d *Draft) parse(text []byte) (vms.VM, error) {
	vm, err := vms.Parse(text, d.env.Store.Env(d.Name, d.file))
	if mistakes, ok := errors.AsType[vms.Errors](err); ok {
		mistakes = slices.Clone(mistakes)
		for i := range mistakes {
			mistakes[i].File = d.Path
		}
		return vm, mistakes
	}
	if err == nil {
		err = d.env.Store.Clash(vm)
	}
	return vm, err
}

// save replaces the definition by the draft, with the definition's mode.
func (d *Draft) save() error {
	now, err := vms.ReadFile(d.target)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, d.before) {
		return fmt.Errorf("%s has been changed by somebody else meanwhile", d.target)
	}
	info, err := os.Stat(d.target)
	if err != nil {
		return err
	}
	f, err := os.Open(d.Path)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(info.Mode().Perm()), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(d.Path, d.target)
}

// Discard removes the draft unless it has changes that would be lost, and reports whether it removed it.
func (d *Draft) Discard() bool {
	text, err := vms.ReadFile(d.Path)
	if err == nil && bytes.Equal(text, d.before) {
		err = os.Remove(d.Path)
		return err == nil
	}
	return errors.Is(err, fs.ErrNotExist)
}

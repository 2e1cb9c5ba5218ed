package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

type newCmd struct {
	Name   string   `arg:"" help:"The VM's name: lower-case letters, digits and hyphens."`
	Memory vms.Size `placeholder:"SIZE" help:"Memory, with its unit."`
	CPUs   *int     `name:"cpus" placeholder:"N" help:"Processors."`
	Disk   vms.Size `placeholder:"SIZE" help:"Disk size; created at the first start. With --image: grow that image to this size."`
	Image  string   `placeholder:"PATH" help:"A disk image that exists: qcow2 or raw, as its header says."`
	Bridge string   `placeholder:"NAME" help:"The host's bridge. Default: the first that is up and allowed."`
	User   string   `placeholder:"NAME" help:"User to log in as with ssh."`
}

func (newCmd) Help() string {
	return "Prints the path of the definition that it wrote. One that is there already is left as it is."
}

func (newCmd) Example() string {
	return "qlaunch new guestvm --memory 2GiB --image ~/debian.qcow2 --user debian"
}

func (c *newCmd) Run(s *session) error {
	path, err := c.write(s)
	if err != nil {
		return fmt.Errorf("new %s: %w", c.Name, err)
	}
	_, err = fmt.Fprintln(s.stdout, path)
	return err
}

func (c *newCmd) write(s *session) (string, error) {
	if err := vms.CheckName(c.Name); err != nil {
		return "", &definitionError{err}
	}
	start := vms.Start{Memory: c.Memory, Image: c.Image, DiskSize: c.Disk, Bridge: c.Bridge, User: c.User}
	if c.CPUs != nil {
		if *c.CPUs == 0 { // which is no number to Template
			return "", &usageError{errors.New("--cpus 0: must be at least 1"), "new"}
		}
		start.CPUs = *c.CPUs
	}
	if err := c.findImage(&start); err != nil {
		return "", err
	}
	path := s.store.Path(c.Name)
	text := vms.Template(c.Name, start)
	vm, err := vms.Parse(text, s.store.Env(c.Name, path))
	if err != nil {
		return "", &usageError{values(err), "new"}
	}
	if err := c.checkSize(vm); err != nil {
		return "", err
	}
	err = create(path, text)
	if errors.Is(err, fs.ErrExist) {
		return "", &existsError{c.Name, path}
	}
	return path, err
}

// existsError says that there is a definition of that name.
type existsError struct{ name, file string }

func (e *existsError) Error() string { return e.file + " exists" }

func (e *existsError) hint() string { return "qlaunch edit " + e.name }

// findImage completes what is asked for by what the image itself says: where and what it is.
func (c *newCmd) findImage(start *vms.Start) (err error) {
	if c.Image == "" {
		return nil
	}
	if start.Image, err = filepath.Abs(c.Image); err != nil {
		return err
	}
	start.Format, err = launcher.ImageFormat(start.Image)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("--image %s: %w", start.Image, err)
	if _, ok := errors.AsType[*launcher.FormatError](err); ok {
		return err // which has a cure of its own
	}
	return &usageError{err, "new"}
}

// checkSize refuses a size that the image which is to be grown to it has already passed.
func (c *newCmd) checkSize(vm vms.VM) error {
	if c.Image == "" || c.Disk == 0 {
		return nil
	}
	size, err := launcher.DiskSize(vm.Disks[0])
	if err != nil {
		return fmt.Errorf("--image %s: %w", vm.Disks[0].Path, err)
	}
	if size > c.Disk {
		return &usageError{fmt.Errorf("--disk %v: the image has %v: a disk %w", c.Disk, size, launcher.ErrNotShrunk), "new"}
	}
	return nil
}

// values says what is wrong without naming the lines of a file that is not there.
func values(err error) error {
	var texts []error
	wrong, _ := errors.AsType[vms.Errors](err)
	for _, e := range wrong {
		texts = append(texts, errors.New(e.Text))
	}
	return errors.Join(texts...)
}

// create writes a new file, whole, and never over another.
func create(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

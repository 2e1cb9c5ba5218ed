package main

import (
	"errors"
	"fmt"

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
	start := vms.Start{Memory: c.Memory, Image: c.Image, DiskSize: c.Disk, Bridge: c.Bridge, User: c.User}
	if c.CPUs != nil {
		if *c.CPUs == 0 && vms.CheckName(c.Name) == nil { // which is no number to Template
			return "", &usageError{errors.New("--cpus 0: must be at least 1"), "new"}
		}
		start.CPUs = *c.CPUs
	}
	path, err := launcher.New(s.env, launcher.NewRequest{Name: c.Name, Start: start})
	wrong, isRequest := errors.AsType[*launcher.RequestError](err)
	if image, ok := errors.AsType[*launcher.ImageError](err); ok {
		err = fmt.Errorf("--image %s: %w", image.Path, image.Err)
	} else if isRequest {
		err = wrong
	}
	if small, ok := errors.AsType[*launcher.SizeError](err); ok {
		err, isRequest = fmt.Errorf("--disk %v: %w", small.Want, small), true
	}
	if isRequest {
		err = &usageError{err, "new"}
	}
	return path, err
}

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
	CPUs   int      `name:"cpus" placeholder:"N" help:"Processors."`
	Disk   vms.Size `placeholder:"SIZE" help:"Size of a disk that is made at the first start; with --image, which that image is grown to."`
	Image  string   `placeholder:"PATH" help:"A disk image that is there already."`
	Bridge string   `placeholder:"NAME" help:"The host's bridge. Default: the first that is up and allowed."`
	User   string   `placeholder:"NAME" help:"Whom ssh logs in as."`
}

func (newCmd) Help() string {
	return "Prints the path of the definition that it wrote. One that is there already is left as it is."
}

func (newCmd) Example() string {
	return "qlaunch new guestvm --memory 2GiB --image ~/debian.qcow2 --user debian"
}

func (c *newCmd) Run(s *session) error {
	start := vms.Start{Memory: c.Memory, CPUs: c.CPUs, Image: c.Image, DiskSize: c.Disk, Bridge: c.Bridge, User: c.User}
	path, err := launcher.New(s.env, launcher.NewRequest{Name: c.Name, Start: start})
	if wrong, ok := errors.AsType[*launcher.RequestError](err); ok {
		err = &usageError{wrong, "new"}
	}
	if small, ok := errors.AsType[*launcher.SizeError](err); ok {
		err = &usageError{fmt.Errorf("--disk %v: %w", small.Want, small), "new"}
	}
	if err != nil {
		return fmt.Errorf("new %s: %w", c.Name, err)
	}
	_, err = fmt.Fprintln(s.stdout, path)
	return err
}

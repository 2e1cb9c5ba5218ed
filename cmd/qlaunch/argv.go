package main

import (
	"context"
	"fmt"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/vms"
)

type argvCmd struct {
	Name   string `arg:"" vm:"" help:"A VM."`
	Output string `short:"o" enum:"shell,json" default:"shell" help:"Output format: ${enum}."`
}

func (argvCmd) Help() string {
	return "The line can be pasted: it starts the VM without qlaunch. QEMU then runs the bridge helper itself, " +
		"which its sandbox does not allow, so such a line with a bridged NIC has no -sandbox; qlaunch up has it always. " +
		"Disks that are missing are not made."
}

func (argvCmd) Example() string { return "qlaunch argv guestvm -o json" }

func (c *argvCmd) Run(_ context.Context, s *session) error {
	argv, err := s.argv(c.Name)
	switch {
	case err != nil:
		return fmt.Errorf("argv %s: %w", c.Name, err)
	case c.Output == "json":
		return printJSON(s.stdout, argv)
	}
	_, err = fmt.Fprintln(s.stdout, shellLines(argv))
	return err
}

// argv is the line for a QEMU that is started by hand, on the first of the host's bridges where none is named.
func (s *session) argv(name string) ([]string, error) {
	vm, err := s.load(name)
	if err != nil {
		return nil, err
	}
	if err := launcher.MakeDirs(vm); err != nil {
		return nil, err
	}
	files := launcher.Files{Devices: launcher.FindDevices(vm)}
	if files.UEFI, err = launcher.FindUEFI(vm); err != nil {
		return nil, err
	}
	if len(bridged(vm)) == 0 {
		return launcher.Args(vm, files), nil
	}
	if files.Helper, err = netsetup.FindHelper(vm.QEMU.Helper); err != nil {
		return nil, err
	}
	for i, nic := range vm.NICs {
		if nic.Type != vms.NICBridge || nic.Bridge != netsetup.Auto {
			continue
		}
		bridge, err := netsetup.PickBridge(s.root, netsetup.DefaultACL)
		if err != nil {
			return nil, err
		}
		vm.NICs[i].Bridge = bridge.Name
	}
	return launcher.Args(vm, files), nil
}

package main

import (
	"context"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/launcher/systemd"
)

// addUnit says of a VM that does not run what its unit knows: the kernel and QEMU
// know nothing any more of a QEMU that has ended, nor yet of one that is to come.
func (s *session) addUnit(ctx context.Context, o *overview) {
	manager, ok := s.manager()
	if !ok || o.State != qemu.Stopped {
		return
	}
	state, err := manager.State(ctx, systemd.Name(o.Name))
	if err != nil || !state.Loaded() {
		return
	}
	switch why := state.Failure(); {
	case state.Sub == "auto-restart":
		o.Reason = systemd.Name(o.Name) + " failed: " + why + "; systemd starts it again"
	case why != "":
		o.Reason = systemd.Name(o.Name) + " failed: " + why
	case state.Active == "activating":
		o.State, o.Reason = qemu.Starting, "by "+systemd.Name(o.Name)+", which "+state.Status
	}
}

package main

import (
	"testing"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/netsetup"
)

// One package writes the variable and the other reads it, and neither imports the other.
func TestRootReadsTheVariableThatQEMUIsStartedWith(t *testing.T) {
	if qemu.TapsVariable != netsetup.TapsVariable {
		t.Errorf("%s and %s", qemu.TapsVariable, netsetup.TapsVariable)
	}
}

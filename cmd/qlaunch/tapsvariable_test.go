package main

import (
	"testing"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/netsetup"
)

// One package writes the variable and the other reads it, and neither imports the other.
func TestRootReadsTheVariableThatQEMUIsStartedWith(t *testing.T) {
	if launcher.TapsVariable != netsetup.TapsVariable {
		t.Errorf("%s and %s", launcher.TapsVariable, netsetup.TapsVariable)
	}
}

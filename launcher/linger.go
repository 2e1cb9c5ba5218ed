package launcher

import (
	"github.com/qlaunch/qlaunch/launcher/qemu"
)

// CheckLinger tells whether this user's services outlive the last logout. The error is a [*qemu.LingerError] where they
// do not.
func CheckLinger(e *Env) error {
	return qemu.CheckLinger(e.Store.Dirs.Runtime, e.Root, e.Store.UID)
}

// EndsAtLogout tells whether a logout ends a VM: it runs in its unit, and its user does not linger. A VM that was
// started outside of systemd runs on: logind leaves the processes of a login alone (KillUserProcesses=no of
// logind.conf(5), as Debian has it).
func EndsAtLogout(e *Env, name string) bool {
	if CheckLinger(e) == nil {
		return false
	}
	at, err := locate(e, name)
	return err == nil && inUnit(at)
}

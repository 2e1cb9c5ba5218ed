package qemu

import (
	"path/filepath"

	"github.com/qlaunch/qlaunch/vms"
)

// Files is what a QEMU gets beside its VM's definition: descriptors that it
// inherits, by number, and the host's files that it needs.
//
// The zero value stands for a QEMU that is started by hand: it listens on the
// sockets' paths itself, runs the bridge helper itself, and therefore has no
// sandbox, for QEMU's sandbox sets no_new_privs, which takes the helper's setuid bit away.
type Files struct {
	QMP     int       // listening socket of the monitor; 0: QEMU listens on QMPSocket
	Console int       // listening socket of the serial console; 0: QEMU listens on ConsoleSocket
	Agent   int       // listening socket of the guest agent's channel; 0: QEMU listens on AgentSocket
	Taps    []TapFDs  // one for each bridge NIC, in the definition's order; nil: QEMU runs the helper
	RunDir  int       // the run directory, where it makes the display's path too long for a socket; 0: it does not
	Helper  string    // path of qemu-bridge-helper, used when there are no taps; "": QEMU's own default
	UEFI    UEFIFiles // used when the VM's firmware is uefi
	Devices []string  // the paths of those disks that are block devices
}

// TapFDs are a tap's descriptor and, where the host has vhost-net, that of an open /dev/vhost-net.
type TapFDs struct {
	Tap   int
	Vhost int // 0: without vhost-net
}

// UEFIFiles are a UEFI firmware's two flash images: its code, which all VMs
// share, and its variables, of which each VM has a copy.
type UEFIFiles struct {
	Code string
	Vars string
}

// The names in a VM's run and state directories, each given by the VM's own paths.
const (
	pidName     = "pid"
	lockName    = "lock"
	qmpName     = "qmp.sock"
	consoleName = "console.sock"
	agentName   = "qga.sock"
	qemuLogName = "qemu.log"
	serialName  = "console.log"

	consoleLockName = "console.lock"
	agentLockName   = "qga.lock"
	answerName      = "answer"
)

// PIDFile is the file that a VM's QEMU holds a lock on for as long as it lives.
func PIDFile(vm vms.VM) string { return filepath.Join(vm.RunDir, pidName) }

// QMPSocket is the path of a VM's monitor.
func QMPSocket(vm vms.VM) string { return filepath.Join(vm.RunDir, qmpName) }

// ConsoleSocket is the path of a VM's serial console; it serves one client at a time.
func ConsoleSocket(vm vms.VM) string { return filepath.Join(vm.RunDir, consoleName) }

// AgentSocket is the path of the channel to the agent in a VM's guest; it serves one client at a time.
func AgentSocket(vm vms.VM) string { return filepath.Join(vm.RunDir, agentName) }

// ConsoleLog is the file that QEMU writes all output of the serial console to.
func ConsoleLog(vm vms.VM) string { return filepath.Join(vm.StateDir, serialName) }

// MessageLog is the file that QEMU's own standard error goes to.
func MessageLog(vm vms.VM) string { return filepath.Join(vm.StateDir, qemuLogName) }

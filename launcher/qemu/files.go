package qemu

import (
	"path/filepath"

	"github.com/qlaunch/qlaunch/vms"
)

// Files is what a QEMU gets besides its VM's definition: the numbers of inherited descriptors, and files of the host.
//
// The zero value is for a QEMU that is started by hand: it creates the sockets and runs the bridge helper itself. So
// it has no sandbox, since QEMU's sandbox sets no_new_privs, which disables the helper's setuid bit.
type Files struct {
	QMP     int       // listening socket of the monitor; 0: QEMU listens on QMPSocket
	Console int       // listening socket of the serial console; 0: QEMU listens on ConsoleSocket
	Agent   int       // listening socket of the guest agent's channel; 0: QEMU listens on AgentSocket
	Taps    []TapFDs  // one for each bridge NIC, in the definition's order; nil: QEMU runs the helper
	RunDir  int       // the run directory, if the path of the display's socket is too long; else 0
	Helper  string    // path of qemu-bridge-helper, used when there are no taps; "": QEMU's own default
	UEFI    UEFIFiles // used if the VM's firmware is uefi
	Devices []string  // the paths of the disks that are block devices
}

// TapFDs has a tap's descriptor and, if the host has vhost-net, that of an open /dev/vhost-net.
type TapFDs struct {
	Tap   int
	Vhost int // 0: without vhost-net
}

// UEFIFiles has the two flash images of a UEFI firmware: its code, which all VMs share, and its variables, of which
// each VM has a copy.
type UEFIFiles struct {
	Code string
	Vars string
}

// The file names in a VM's run, data and state directories.
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
	replyName       = "answer"
)

// PIDFile returns the path of the file that a VM's QEMU locks as long as it lives.
func PIDFile(vm vms.VM) string { return filepath.Join(vm.RunDir, pidName) }

// QMPSocket returns the path of a VM's monitor.
func QMPSocket(vm vms.VM) string { return filepath.Join(vm.RunDir, qmpName) }

// ConsoleSocket returns the path of a VM's serial console, which serves one client at a time.
func ConsoleSocket(vm vms.VM) string { return filepath.Join(vm.RunDir, consoleName) }

// AgentSocket returns the path of the guest agent's channel, which serves one client at a time.
func AgentSocket(vm vms.VM) string { return filepath.Join(vm.RunDir, agentName) }

// ConsoleLog returns the path of the file to which QEMU writes all output of the serial console.
func ConsoleLog(vm vms.VM) string { return filepath.Join(vm.StateDir, serialName) }

// MessageLog returns the path of the file to which QEMU's standard error is written.
func MessageLog(vm vms.VM) string { return filepath.Join(vm.StateDir, qemuLogName) }

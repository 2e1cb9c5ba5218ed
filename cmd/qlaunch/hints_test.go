package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/launcher/systemd"
	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/netsetup/host"
	"github.com/qlaunch/qlaunch/netsetup/lease"
	"github.com/qlaunch/qlaunch/qmp/agent"
	"github.com/qlaunch/qlaunch/vms"
)

// What can go wrong, with its exit code and its hint in full, in the order of the table in hints.go.
func wrongs() []struct {
	err  error
	code int
	hint string
} {
	vm := vms.VM{Name: "web", Display: vms.Display{Type: vms.DisplayNone}, NICs: []vms.NIC{{Type: vms.NICBridge, Bridge: "virbr0"}}}
	late := func(stage lease.Stage) error {
		return &launcher.DeadlineError{Name: "web", Timeout: time.Minute, Stage: stage, Err: &lease.WaitError{Stage: stage, Err: context.DeadlineExceeded}}
	}
	caused := func(err, cause error) error {
		if late, ok := errors.AsType[*launcher.DeadlineError](err); ok {
			late.Cause = cause
		}
		return err
	}
	cause := func(cause error) netsetup.Failure { return netsetup.Failure{Cause: cause} }
	return []struct {
		err  error
		code int
		hint string
	}{
		{&usageError{errors.New("unknown flag --x"), ""}, 2, "qlaunch --help"},
		{&usageError{errors.New("unknown flag --x"), "up"}, 2, "qlaunch up --help"},
		{&sudoError{"up", []string{"qlaunch", "up", "web"}}, 2, "qlaunch up web"},
		{vms.Errors{{File: "/vms/web.toml", Line: 1, Column: 1, Text: "cpus = 0"}}, 2, ""},
		{&launcher.DefinitionError{Err: &vms.WritableError{Path: "/my vms/web.toml", Chmod: true, Own: true}}, 2, "chmod go-w '/my vms/web.toml'"},
		{&launcher.DefinitionError{Err: &vms.WritableError{Path: "/srv", Chmod: true}}, 2, "sudo chmod go-w /srv"},
		{&launcher.DefinitionError{Err: &vms.WritableError{Path: "/srv"}}, 2, ""},
		{&launcher.DefinitionError{Err: errors.New("not a regular file")}, 2, ""},
		{&launcher.AddressTakenError{Name: "web"}, 7, "qlaunch ip web --explain"},
		{&lossError{"web", []string{"/data/disk0.qcow2"}}, 2, "qlaunch rm web --yes"},
		{&launcher.NoVMError{Ref: "web", File: "/vms/web.toml"}, 4, "qlaunch ls"},
		{&launcher.NoVMError{Ref: "./web.toml", File: "/vms/web.toml"}, 4, ""},
		{&launcher.ExistsError{Name: "web", File: "/vms/web.toml"}, 1, "qlaunch edit web"},
		{&vms.ClashError{What: "mac 52:54:00:12:34:56"}, 7, "without a mac in its definition, each VM gets one of its own"},
		{&vms.ClashError{What: "the name web"}, 7, "a VM has the name of its file"},
		{launcher.ErrInterrupted, 130, ""},
		{context.Canceled, 130, ""},
		{errors.Join(qemu.ErrBusy, context.Canceled), 130, ""},
		{late(lease.Silent), 124, "has it booted? qlaunch logs web"},
		{late(lease.Frames), 124, "does a DHCP server answer on the bridge? qlaunch ip web --explain"},
		{late(lease.Leased), 124, "does a DHCP server answer on the bridge? qlaunch ip web --explain"},
		{caused(late(lease.Silent), &netsetup.BridgeError{Failure: cause(netsetup.ErrPortWaits), Target: netsetup.Target{Bridge: "br0"}}), 124, "sudo ip link set br0 type bridge forward_delay 200 # 2 s, twice"},
		{caused(late(lease.Silent), &netsetup.BridgeError{Failure: cause(netsetup.ErrNotBridge)}), 124, "has it booted? qlaunch logs web"},
		{&launcher.NoAddressError{Stage: lease.Silent, Cause: &qemu.ConsoleError{VM: vm, Cause: qemu.ErrNoOutput}}, 1, "console=ttyS0 on the guest's kernel command line shows what it does"},
		{&launcher.NoAddressError{Stage: lease.Leased}, 1, ""},
		{&launcher.DeadlineError{Name: "web", Timeout: time.Minute, Err: context.DeadlineExceeded}, 124, "does an sshd run in it? qlaunch logs web"},
		{&launcher.DeadlineError{Name: "web", Timeout: time.Minute, Err: errors.Join(agent.ErrSilent, context.DeadlineExceeded)}, 124, "does qemu-guest-agent run in it? qlaunch logs web"},
		{&launcher.MonitorError{PID: 123, Stopped: true}, 1, "kill -CONT 123"},
		{&launcher.MonitorError{PID: 123}, 1, ""},
		{&launcher.NoDisplayError{Err: errors.New("There is no console")}, 1, `type = "vnc" in the definition's [display] table gives it a display at its next start`},
		{&launcher.NoViewerError{Display: vms.DisplaySpice}, 1, "sudo apt install virt-viewer"},
		{&launcher.NoViewerError{Display: vms.DisplayVNC}, 1, "sudo apt install tigervnc-viewer"},
		{&launcher.LoginError{User: "root"}, 2, `user = "root" in the definition's [ssh] table`},
		{qemu.ErrNotRunning, 3, ""},
		{&launcher.RunsError{Name: "web", Err: qemu.ErrRunning}, 7, "qlaunch down web"},
		{qemu.ErrRunning, 7, ""},
		{&qemu.OpenError{File: "/data/disk0.qcow2", PID: 123, Program: "qemu-img"}, 7, ""},
		{&qemu.MACError{Name: "web", PID: 123}, 7, ""},
		{errors.Join(qemu.ErrBusy, context.DeadlineExceeded), 7, ""},
		{&qemu.OrphanError{Orphan: qemu.Orphan{Name: "web", PID: 123}}, 7, "qlaunch down web"},
		{qemu.ErrConsoleTaken, 7, ""},
		{errors.Join(qemu.ErrAgentTaken, context.DeadlineExceeded), 7, ""},
		{&launcher.SSHConfigError{File: "/c", Line: "Include x", Err: errors.New("y")}, 1, "this line at its top does the same: Include x"},
		{launcher.ErrNoCopyServer, 1, "sudo apt install openssh-sftp-server # in the guest"},
		{&launcher.NoAgentError{Name: "web"}, 1, "qlaunch wait web --for agent # needs qemu-guest-agent in the guest"},
		{errors.Join(agent.ErrSilent, context.DeadlineExceeded), 1, ""},
		{&agent.Error{Command: "guest-exec", Class: "GenericError", Desc: "Failed to execute child process “x” (No such file or directory)"}, 127, ""},
		{&agent.Error{Command: "guest-exec", Class: "GenericError", Desc: "Failed to execute child process “x” (Permission denied)"}, 1, ""},
		{&launcher.ElsewhereError{Name: "web", PID: 123}, 7, "qlaunch restart web # ends that QEMU, and starts the VM in its unit"},
		{launcher.ErrCalledOff, 7, ""},
		{&launcher.NoManagerError{Why: "no user manager listens in /run/user/1"}, 5, "loginctl enable-linger # or a login by ssh, or by machinectl shell"},
		{&launcher.BreakerError{Err: &netsetup.HelperError{Failure: cause(netsetup.ErrNoNewPrivs)}, Breaker: systemd.Breaker{File: "/a.conf", Directive: "NoNewPrivileges="}}, 5,
			"without that line, and after systemctl --user daemon-reload, the bridge helper works"},
		{&launcher.OldManagerError{Err: &netsetup.NoneFits{Reasons: []error{&netsetup.ACLError{Failure: cause(netsetup.ErrACLUnreadable), Access: netsetup.Access{Group: "kvm", LogInAgain: true}}}}, Group: "kvm", UID: 1000}, 5,
			"sudo systemctl restart user@1000.service # ends all of your units, VMs too"},
		{&launcher.UnitError{Name: "web", State: systemd.State{Active: "failed", Result: "signal", Code: 2, Exit: 9}}, 1, "journalctl --user --unit qlaunch@web.service"},
		{&launcher.UnitError{Name: "web", State: systemd.State{Active: "failed", Result: "exit-code", Code: 1, Exit: 203}}, 1,
			"qlaunch enable web # writes the unit anew, with the path of this qlaunch"},

		{&qemu.ConsoleError{VM: vm, Cause: qemu.ErrNoBootDevice}, 1, "qlaunch edit web # a [[disk]] with a system on it, the firmware that this system is for, or a [kernel]"},
		{&qemu.ConsoleError{VM: vm, Cause: qemu.ErrBootLoader}, 1, "qlaunch console web"},
		{&qemu.ConsoleError{VM: vm, Cause: qemu.ErrEmergency}, 1, "qlaunch console web"},
		{&qemu.ConsoleError{VM: vm, Cause: qemu.ErrPanic}, 1, "qlaunch logs web"},
		{&qemu.ConsoleError{VM: vm, Cause: qemu.ErrHalted}, 1, "qlaunch restart web"},
		{&qemu.ConsoleError{VM: vms.VM{Name: "web", Display: vms.Display{Type: vms.DisplayVNC}}, Cause: qemu.ErrNoOutput}, 1, "qlaunch screenshot web"},

		{&qemu.KVMError{Device: "/dev/kvm", Err: qemu.ErrNoKVM}, 5, `sudo modprobe kvm_intel || sudo modprobe kvm_amd # or accel = "tcg" in the definition, which is slow`},
		{&qemu.KVMError{Device: "/dev/kvm", Group: "kvm", Err: qemu.ErrKVMDenied}, 5, "sudo usermod -aG kvm $USER # then log in again"},
		{&qemu.KVMError{Device: "/dev/kvm", Err: qemu.ErrKVMDenied}, 5, "sudo chmod o+rw /dev/kvm"},
		{&qemu.KVMError{Device: "/dev/kvm", Err: errors.New("input/output error")}, 5, ""},
		{&qemu.NoQEMUError{Binary: "qemu-system-x86_64"}, 5, "sudo apt install qemu-system-x86"},
		{&qemu.NoQEMUError{Binary: "qemu-system-aarch64"}, 5, "sudo apt install qemu-system-arm"},
		{&qemu.NoQEMUError{Binary: "qemu-img"}, 5, "sudo apt install qemu-utils"},
		{&qemu.NoQEMUError{Binary: "my-qemu"}, 5, ""},
		{&qemu.OldQEMUError{Binary: "qemu-system-x86_64", Major: 5, Minor: 2}, 5, `binary = "PATH" in the definition's [qemu] table, with a newer QEMU`},
		{&qemu.VhostError{Device: "/dev/vhost-net", Group: "kvm", Err: qemu.ErrVhostDenied}, 5, "sudo usermod -aG kvm $USER # then log in again"},
		{&qemu.VhostError{Device: "/dev/vhost-net", Err: qemu.ErrNoVhost}, 5, "sudo modprobe vhost_net"},
		{&qemu.SpaceError{Dir: "/my vms"}, 5, "df -h '/my vms'"},
		{qemu.ErrNoLinger, 5, "loginctl enable-linger"},
		{qemu.ErrNoUEFI, 5, "sudo apt install ovmf qemu-efi-aarch64"},
		{&qemu.AttributeError{Path: "/my vms/a.raw", Letter: "i"}, 2, "sudo chattr -i '/my vms/a.raw'"},
		{fmt.Errorf("read-only file system: %w", qemu.ErrNotWritable), 2, "readonly = true in that disk's table, if the guest only reads it"},
		{&qemu.CompressedError{Path: "/boot/vm linuz.xz", Program: "xz"}, 2, "xz -dc '/boot/vm linuz.xz' >'/boot/vm linuz' # and image = that in the definition's [kernel] table"},
		{&qemu.CompressedError{Path: "/boot/vmlinuz-6.1", Program: "gzip"}, 2, "gzip -dc /boot/vmlinuz-6.1 >/boot/vmlinuz-6.1.unpacked # and image = that in the definition's [kernel] table"},
		{&qemu.DeniedError{Path: "/my vms", Need: "x"}, 2, "sudo setfacl -m u:$USER:x '/my vms'"},
		{&qemu.DeniedError{Path: "/vms/a.raw", Need: "rw", Own: true}, 2, "chmod u+rw /vms/a.raw"},
		{qemu.ErrFile, 2, ""},
		{qemu.ErrDeviceAbsent, 2, "lsblk"},
		{qemu.ErrNotGrown, 2, "without a size in its table, a disk keeps its own"},
		{&qemu.DanglingError{Path: "/my vms/a.raw", Target: "/mnt/a.raw"}, 2, "rm '/my vms/a.raw' # or mount the file system that it leads to"},
		{qemu.ErrDiskMissing, 2, `size = "20GiB" in that disk's table creates it`},
		{qemu.ErrDiskKind, 2, ""},
		{&qemu.FormatError{Path: "/my vms/a.vmdk", Format: "vmdk"}, 2,
			"qemu-img convert -f vmdk -O qcow2 '/my vms/a.vmdk' '/my vms/a.qcow2' # and take that as the image"},
		{&qemu.FormatError{Path: "/a.qcow2", Format: "vdi"}, 2,
			"qemu-img convert -f vdi -O qcow2 /a.qcow2 /a.qcow2.new # and take that as the image"},
		{&qemu.DiskError{Path: "/my vms/a", Err: qemu.ErrEmptyImage}, 2, "rm '/my vms/a' # a size in that disk's table then makes it"},
		{qemu.ErrNotQCOW2, 2, `format = "raw" in that disk's table, if it is a raw image`},
		{qemu.ErrBackingFile, 2, ""},
		{qemu.ErrExternalData, 2, ""},
		{&qemu.NotPrivateError{Dir: "/run/a b", Why: "its mode is 0755", Mode: true}, 5, "chmod 700 '/run/a b'"},
		{&qemu.NotPrivateError{Dir: "/run/a", Why: "it belongs to uid 0"}, 5, ""},
		{&qemu.NotPrivateError{Dir: "/data/web", Why: "it is a symbolic link", Own: true}, 5,
			"a disk elsewhere is named by path in its [[disk]] table, and XDG_DATA_HOME moves all that there is"},
		{&qemu.RunDirError{Err: errors.New("make directory: full")}, 5, "install -d -m 700 ~/.cache/run && export XDG_RUNTIME_DIR=~/.cache/run"},
		{vms.ErrNoHome, 5, "export HOME=/PATH # a directory of yours"},
		{&launcher.OtherFileError{Name: "web", File: "/a/web.toml"}, 7, "qlaunch down web"},
		{&qemu.StrangerError{File: "/data/db/running", QEMU: qemu.QEMU{Name: "web", PID: 123}}, 7, "qlaunch down web"},
		{&qemu.PausedError{VM: "web", Reason: "by the user"}, 1, "qlaunch resume web"},
		{&qemu.InUseError{PID: 123, VM: "web"}, 7, "qlaunch down web"},
		{&qemu.InUseError{PID: 123}, 7, ""},
		{&qemu.DiedError{Words: `Failed to get "write" lock`}, 7, ""},
		{&qemu.LoopError{Device: "/dev/loop3"}, 7, "sudo losetup --detach /dev/loop3 # once nothing of it is mounted"},
		{&qemu.ClaimedError{Device: "/dev/vg/my lv", Mount: "/mnt/a b"}, 7, "sudo umount '/mnt/a b'"},
		{&qemu.ClaimedError{Device: "/dev/vg/my lv"}, 7, "lsblk '/dev/vg/my lv'"},
		{&qemu.DiedError{Words: "cannot set up guest memory 'pc.ram': Cannot allocate memory"}, 6, "less memory in the definition, or what others have freed: free -h"},
		{qemu.ErrLittleMemory, 5, "free -h"},
		{&qemu.DiedError{Words: "-spice: There is no option group 'spice'"}, 5, "sudo apt install qemu-system-modules-spice"},
		{&qemu.DiedError{Words: "-spice: spice support is disabled"}, 5, "sudo apt install qemu-system-modules-spice"},
		{&qemu.DiedError{Words: "error: failed to set MSR 0x10a to 0x69"}, 6, `cpu = "host,-arch-capabilities" in the definition`},
		{&qemu.DiedError{Words: "error: failed to set MSR 0x10a0 to 0x69"}, 6, ""},
		{&qemu.DiedError{Status: "exit status 1"}, 6, ""},
		{qemu.ErrEnded, 6, ""},
		{&launcher.StartError{Err: context.DeadlineExceeded}, 6, ""},
		{&qemu.DiskError{Path: "/a.raw", Err: errors.New("too many levels of symbolic links")}, 2, ""},

		{&netError{"setup", host.ErrNotRoot}, 5, "sudo qlaunch net setup"},
		{&netError{"teardown", host.ErrNotRoot}, 5, "sudo qlaunch net teardown"},
		{host.ErrBusy, 7, ""},
		{&host.InUseError{Bridge: "qlbr0"}, 7, "sudo qlaunch net teardown --force # they lose their network"},
		{&host.NoProgramError{Programs: []string{"nft"}}, 5, "sudo apt install dnsmasq-base nftables"},
		{host.ErrRequest, 2, ""},
		{host.ErrSubnetTaken, 2, "sudo qlaunch net setup --subnet CIDR # one that the host has no route to"},
		{host.ErrExposed, 5, "sudo qlaunch net setup --bridge NAME # a bridge of its own"},
		{host.ErrReadOnly, 5, ""},
		{&netsetup.UntrustedError{Path: "/usr/local/libexec/qlaunch", Component: "/usr/local", Mode: true}, 5, "sudo chmod go-w /usr/local"},
		{&netsetup.UntrustedError{Path: "/opt/a b", Component: "/opt/a b"}, 5, "sudo chown -h root '/opt/a b'"},

		{&netsetup.BridgeError{Failure: cause(netsetup.ErrNoBridge), Target: netsetup.Target{Bridge: "br0"}}, 5, "sudo qlaunch net setup --bridge br0"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrNoBridge), Target: netsetup.Target{Bridge: netsetup.Auto, Auto: true}}, 5, "sudo qlaunch net setup"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrNoBridge), Target: netsetup.Target{Bridge: "qlbr0"}}, 5, "sudo qlaunch net setup"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrNotBridge), Target: netsetup.Target{Bridge: "eth0"}}, 5, ""},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrBridgeDown), Target: netsetup.Target{Bridge: "br0"}}, 5, "sudo ip link set br0 up"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrBridgeDown), Target: netsetup.Target{Bridge: "qlbr0", Own: true}}, 5, "sudo systemctl restart qlaunch-net"},
		{&netsetup.ACLError{Failure: cause(netsetup.ErrACLMissing), Target: netsetup.Target{Bridge: "br0"}}, 5, "sudo qlaunch net setup --bridge br0"},
		{&netsetup.ACLError{Failure: cause(netsetup.ErrACLMissing), Target: netsetup.Target{Bridge: "virbr0", Auto: true}}, 5, "sudo qlaunch net setup"},
		{&netsetup.ACLError{Failure: cause(netsetup.ErrACLUnreadable), Access: netsetup.Access{Group: "root"}, File: "/etc/qemu/bridge.conf"}, 5, "sudo chmod o+r /etc/qemu/bridge.conf"},
		{&netsetup.ACLError{Failure: cause(netsetup.ErrACLUnreadable), Access: netsetup.Access{Group: "kvm"}, File: "/etc/qemu/bridge.conf"}, 5, "sudo usermod -aG kvm $USER # then log in again"},
		{&netsetup.ACLError{Failure: cause(netsetup.ErrACLUnreadable), Access: netsetup.Access{Group: "kvm", LogInAgain: true}, File: "/etc/qemu/bridge.conf"}, 5,
			"log out and in again: this session is older than your place in group kvm"},
		{&netsetup.ACLError{Failure: cause(netsetup.ErrACLUnreadable), File: "/etc/qemu/bridge.conf"}, 5, "sudo chmod o+r /etc/qemu/bridge.conf"},
		{&netsetup.ACLError{Failure: cause(netsetup.ErrACLSyntax), File: "/etc/qemu/bridge.conf", Line: 3}, 5, "sudoedit /etc/qemu/bridge.conf"},
		{&netsetup.ACLError{Failure: cause(netsetup.ErrACLComment), Target: netsetup.Target{Bridge: "br0"}, File: "/etc/qemu/bridge.conf", Line: 2}, 5, "sudoedit /etc/qemu/bridge.conf"},
		{&netsetup.ACLError{Failure: cause(netsetup.ErrDenied), Target: netsetup.Target{Bridge: "a b"}, File: "/etc/qemu/bridge.conf"}, 5, "sudo qlaunch net setup --bridge 'a b'"},
		{&netsetup.ACLError{Failure: cause(netsetup.ErrDenied), Target: netsetup.Target{Bridge: "br0", Auto: true}}, 5, "sudo qlaunch net setup"},
		{&netsetup.NoneFits{Reasons: []error{
			&netsetup.ACLError{Failure: cause(netsetup.ErrDenied), Target: netsetup.Target{Bridge: "docker0", Auto: true}, File: "/etc/qemu/bridge.conf", Line: 1},
			&netsetup.BridgeError{Failure: cause(netsetup.ErrBridgeDown), Target: netsetup.Target{Bridge: "br0", Auto: true}},
		}}, 5, "sudo ip link set br0 up"},
		{&netsetup.ACLError{Failure: cause(netsetup.ErrDenied), Target: netsetup.Target{Bridge: "br0"}, File: "/etc/qemu/bridge.conf", Line: 2}, 5, "sudo sed -i 2d /etc/qemu/bridge.conf"},
		{&netsetup.HelperError{Failure: cause(netsetup.ErrNoHelper)}, 5, "sudo apt install qemu-system-common"},
		{&netsetup.HelperError{Failure: cause(netsetup.ErrHelperForbidden), Access: netsetup.Access{Group: "kvm"}, Helper: "/usr/lib/qemu/h"}, 5, "sudo usermod -aG kvm $USER # then log in again"},
		{&netsetup.HelperError{Failure: cause(netsetup.ErrHelperForbidden), Helper: "/usr/lib/qemu/h"}, 5, "sudo chmod o+rx /usr/lib/qemu/h"},
		{&netsetup.HelperError{Failure: cause(netsetup.ErrHelperNotSetuid), Target: netsetup.Target{Bridge: "virbr0", Auto: true}, Helper: "/usr/lib/qemu/h"}, 5, "sudo qlaunch net setup"},
		{&netsetup.HelperError{Failure: cause(netsetup.ErrNoNewPrivs)}, 5, "start it outside of what set no_new_privs: a container, a sandbox, a unit with NoNewPrivileges="},
		{&netsetup.HelperError{Failure: cause(netsetup.ErrUserNamespace)}, 5, "start it outside of the container or sandbox"},
		{&netsetup.HelperError{Failure: cause(netsetup.ErrNosuidMount), Helper: "/mnt/h"}, 5, `helper = "PATH" in the definition's [qemu] table, with a copy of /mnt/h elsewhere`},
		{&netsetup.TunError{Failure: cause(netsetup.ErrNoTun)}, 5, "sudo modprobe tun"},
		{&netsetup.TunError{Failure: cause(netsetup.ErrTunPermission)}, 5, "sudo chmod 666 /dev/net/tun"},
		{&netsetup.HelperError{Failure: cause(netsetup.ErrHelperTimeout)}, 5, ""},
		{&netsetup.HelperError{Failure: cause(netsetup.ErrNoTapFD)}, 5, ""},
		{&netsetup.HelperError{Failure: cause(netsetup.ErrHelperFailed)}, 5, ""},

		{&netsetup.BridgeError{Failure: cause(netsetup.ErrNoAddress), Target: netsetup.Target{Bridge: "qlbr0", Own: true}}, 5, "sudo systemctl restart qlaunch-net"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrNoAddress), Target: netsetup.Target{Bridge: "br0"}}, 5, "sudo qlaunch net setup --bridge br0"},
		{&netsetup.ACLError{Failure: cause(netsetup.ErrAllAllowed), File: "/etc/qemu/bridge.conf"}, 5, "sudoedit /etc/qemu/bridge.conf"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrUplink), Target: netsetup.Target{Bridge: "br0"}}, 5, "ip link show master br0"},
		{&netsetup.Failure{Cause: netsetup.ErrStaleManager}, 5, "sudo systemctl restart user@$(id -u) # ends all that runs in it"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrNoDHCP), Target: netsetup.Target{Bridge: "br0"}}, 5, `sudo qlaunch net setup --bridge qlbr0 # makes one with DHCP, for bridge = "qlbr0" in the definition`},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrNoDHCP), Target: netsetup.Target{Bridge: "lab0", Own: true}}, 5, "sudo qlaunch net setup --bridge lab0"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrTapDetached), Target: netsetup.Target{Bridge: "qlbr0", Own: true}}, 5, "sudo qlaunch net setup"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrTapDetached), Target: netsetup.Target{Bridge: "virbr0"}}, 5, "sudo qlaunch net setup --bridge virbr0"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrPortWaits), Target: netsetup.Target{Bridge: "a b"}}, 5, "sudo ip link set 'a b' type bridge forward_delay 200 # 2 s, twice"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrSTPDelay), Target: netsetup.Target{Bridge: "br0"}}, 5, "sudo ip link set br0 type bridge forward_delay 200 # 2 s, twice"},
		{&netsetup.BlockedTapError{Failure: cause(netsetup.ErrPortBlocked), Tap: "tap0"}, 5, "sudo bridge link set dev tap0 state 3"},
		{&netsetup.BlockedTapError{Failure: cause(netsetup.ErrPortBlocked), Tap: "tap0", STP: true}, 5, "bridge -d link show dev tap0"},
		{&netsetup.OtherMACError{Failure: cause(netsetup.ErrOtherMAC), MAC: net.HardwareAddr{2, 0, 0, 0, 0, 9}}, 5, `mac = "02:00:00:00:00:09" in the definition's [[nic]] table, if the guest is to keep it`},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrNoAnswer), Target: netsetup.Target{Bridge: "br0"}}, 5, "sudo tcpdump -eni br0 port 67 or port 68 # shows what the guest asks, and who answers"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrNotServed), Target: netsetup.Target{Bridge: "br0"}}, 5, "sudo tcpdump -eni br0 port 67 or port 68 # shows what the guest asks, and who answers"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrForwardUnseen), Target: netsetup.Target{Bridge: "br0"}}, 5, "sudo iptables -S FORWARD # where its policy is DROP: sudo iptables -I FORWARD -i br0 -o br0 -j ACCEPT"},
		{&netsetup.FirewallError{Failure: cause(netsetup.ErrBridgedDropped), Target: netsetup.Target{Bridge: "br0"}}, 5, "sudo iptables -I FORWARD -i br0 -o br0 -j ACCEPT"},
		{&netsetup.ElsewhereError{Failure: cause(netsetup.ErrAddressElsewhere), Target: netsetup.Target{Bridge: "br0"}, IP: netip.MustParseAddr("10.9.0.7")}, 5, "ip route get 10.9.0.7 # has to lead to br0"},
		{&netsetup.ServerError{Failure: cause(netsetup.ErrDHCPDead), Target: netsetup.Target{Bridge: "qlbr0"}, Server: netsetup.Server{Kind: netsetup.ServerQlaunch, Evidence: "/etc/qlaunch/dnsmasq-qlbr0.conf"}}, 5, "sudo systemctl restart qlaunch-dhcp"},
		{&netsetup.ServerError{Failure: cause(netsetup.ErrDHCPDead), Target: netsetup.Target{Bridge: "virbr1"}, Server: netsetup.Server{Kind: netsetup.ServerLibvirt, Evidence: "/var/lib/libvirt/dnsmasq/lab.conf"}}, 5, "sudo virsh net-start lab"},
		{&netsetup.ServerError{Failure: cause(netsetup.ErrDHCPDead), Target: netsetup.Target{Bridge: "virbr0"}, Server: netsetup.Server{Kind: netsetup.ServerLibvirt, Evidence: "/var/lib/libvirt/dnsmasq/virbr0.status"}}, 5, "sudo virsh net-start default"},
		{&netsetup.ServerError{Failure: cause(netsetup.ErrDHCPDead), Target: netsetup.Target{Bridge: "br0"}, Server: netsetup.Server{Kind: netsetup.ServerNetworkd, Evidence: ""}}, 5, "sudo systemctl restart systemd-networkd"},
		{&netsetup.ServerError{Failure: cause(netsetup.ErrDHCPDead), Target: netsetup.Target{Bridge: "br0"}, Server: netsetup.Server{Kind: netsetup.ServerNetworkManager, Evidence: ""}}, 5, "sudo systemctl restart NetworkManager"},
		{&netsetup.ServerError{Failure: cause(netsetup.ErrDHCPDead), Target: netsetup.Target{Bridge: "br0"}, Server: netsetup.Server{Kind: netsetup.ServerDnsmasq, Evidence: ""}}, 5, "sudo qlaunch net setup --bridge br0"},
		{&netsetup.ServerError{Failure: cause(netsetup.ErrLeasesUnreadable), Server: netsetup.Server{Leases: "/var/lib/x.leases"}}, 5, "sudo chmod o+r /var/lib/x.leases"},
		{&netsetup.PortTakenError{Failure: cause(netsetup.ErrPortTaken), Port: 67}, 5, "sudo ss -lntup sport = :67"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrForwardingOff), Target: netsetup.Target{Bridge: "qlbr0"}}, 5, "sudo qlaunch net setup"},
		{&netsetup.FirewallError{Failure: cause(netsetup.ErrForwardDropped), Target: netsetup.Target{Bridge: "qlbr0", Own: true}}, 5, "sudo qlaunch net setup"},
		{&netsetup.FirewallError{Failure: cause(netsetup.ErrForwardDropped), Target: netsetup.Target{Bridge: "virbr0"}}, 5, "sudo iptables -I FORWARD -i virbr0 -j ACCEPT && " +
			"sudo iptables -I FORWARD -o virbr0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"},
		{&netsetup.FirewallError{Failure: cause(netsetup.ErrForwardDropped), Target: netsetup.Target{Bridge: "qlbr0", Own: true}, Chain: "inet fw fwd"}, 5, "sudo nft list chain inet fw fwd"},
		{&netsetup.FirewallError{Failure: cause(netsetup.ErrInputDropped), Target: netsetup.Target{Bridge: "qlbr0", Own: true}}, 5, "sudo qlaunch net setup"},
		{&netsetup.FirewallError{Failure: cause(netsetup.ErrInputDropped), Target: netsetup.Target{Bridge: "virbr0"}}, 5, "sudo iptables -I INPUT -i virbr0 -p udp --dport 67 -j ACCEPT"},
		{&netsetup.FirewallError{Failure: cause(netsetup.ErrInputDropped), Target: netsetup.Target{Bridge: "qlbr0", Own: true}, Chain: "inet firewalld filter_INPUT"}, 5, "sudo qlaunch net setup"},
		{&netsetup.FirewallError{Failure: cause(netsetup.ErrInputDropped), Target: netsetup.Target{Bridge: "br0"}, Chain: "inet firewalld filter_INPUT"}, 5,
			"sudo firewall-cmd --zone=trusted --add-interface=br0 # and with --permanent, for the next boot"},
		{&netsetup.FirewallError{Failure: cause(netsetup.ErrFirewallUnknown), Chain: "inet filter forward"}, 5, "sudo nft list chain inet filter forward"},
		{&netsetup.FirewallError{Failure: cause(netsetup.ErrFirewallUnknown)}, 5, "sudo nft list ruleset"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrNoNAT), Target: netsetup.Target{Bridge: "qlbr0", Own: true}}, 5, "sudo systemctl restart qlaunch-net"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrFewerRules), Target: netsetup.Target{Bridge: "qlbr0", Own: true}}, 5, "sudo qlaunch net setup"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrRouteCollides), Target: netsetup.Target{Bridge: "qlbr0", Own: true}}, 5, "sudo qlaunch net teardown && sudo qlaunch net setup"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrRouteCollides), Target: netsetup.Target{Bridge: "virbr0"}}, 5, "ip route"},
		{&netsetup.MTUError{Failure: cause(netsetup.ErrMTU), Target: netsetup.Target{Bridge: "virbr0"}, MTU: 1420}, 5, "sudo ip link set virbr0 mtu 1420"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrMACTaken), Target: netsetup.Target{Bridge: "virbr0"}}, 5, "without a mac in its definition, each VM gets one of its own"},
		{&netsetup.BridgeError{Failure: cause(netsetup.ErrManagerMeddles), Target: netsetup.Target{Bridge: "virbr0"}}, 5, "sudo nmcli device set virbr0 managed no"},
		{context.DeadlineExceeded, 124, ""},
		{launcher.TimeoutError("it still runs after 1m0s"), 124, ""},
	}
}

func TestEachErrorHasItsCodeAndHint(t *testing.T) {
	for _, test := range wrongs() {
		wrapped := fmt.Errorf("up web: %w", test.err)
		if code, hint := verdict(wrapped); code != test.code || hint != test.hint {
			t.Errorf("%v: code %d, hint %q; want %d, %q", wrapped, code, hint, test.code, test.hint)
		}
	}
	if code, hint := verdict(errors.New("disk full")); code != 1 || hint != "" {
		t.Errorf("any other error: code %d, hint %q", code, hint)
	}
}

func TestAnErrorThatWasHandedOnIsJudgedWhereItHappened(t *testing.T) {
	err := fmt.Errorf("up web: %w", &launcher.UnitStartError{Text: "bridge br0: no such bridge", Hint: "a command", Code: 5})
	if code, hint := verdict(err); code != 5 || hint != "a command" || err.Error() != "up web: bridge br0: no such bridge" {
		t.Errorf("%v: code %d, hint %q", err, code, hint)
	}
}

func TestEachRowOfTheTableIsReached(t *testing.T) {
	reached := map[int]bool{}
	for _, test := range wrongs() {
		reached[slices.IndexFunc(causes(), func(row aCause) bool { return row.is(test.err) })] = true
	}
	for i := range causes() {
		if !reached[i] {
			t.Errorf("row %d decides nothing", i)
		}
	}
}

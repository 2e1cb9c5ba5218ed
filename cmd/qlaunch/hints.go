package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/netsetup/host"
	"github.com/qlaunch/qlaunch/vms"
)

// verdict returns the exit code and the hint of an error. The hint is a command to type, a fact, or empty. The first
// row of the table that matches the error decides.
func verdict(err error) (code int, hint string) {
	if handed, ok := errors.AsType[*launcher.UnitStartError](err); ok {
		return handed.Code, handed.Hint // the process that met the error chose them
	}
	if none, ok := errors.AsType[*launcher.NoneFits](err); ok {
		err = none.Nearest()
	}
	for _, row := range causes() {
		if !row.is(err) {
			continue
		}
		if row.hint != nil {
			hint = row.hint(err)
		}
		return row.code, hint
	}
	return exitFailed, ""
}

// report prints an error, if there is one, and returns the exit code. Joined errors are printed separately; the code is
// that of the first.
func (s *session) report(err error) int {
	if err == nil {
		return exitOK
	}
	if several, ok := errors.AsType[failures](err); ok {
		code := exitOK
		for i, err := range several {
			if c := s.report(err); i == 0 {
				code = c
			}
		}
		return code
	}
	if silent, ok := errors.AsType[exitError](err); ok {
		return int(silent)
	}
	code, hint := verdict(err)
	if mistakes, ok := errors.AsType[vms.Errors](err); ok {
		err = mistakes // each names its file, line and column: what was being done says nothing more
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(s.stderr, "qlaunch: error: %s\n", strings.TrimSuffix(line, "\n"))
	}
	if hint != "" {
		fmt.Fprintf(s.stderr, "qlaunch: hint: %s\n", hint)
	}
	return code
}

// aCause is a row of the table: the errors that it matches, their exit code, and their hint.
type aCause struct {
	is   func(error) bool
	code int
	hint func(error) string
}

// causes returns the table of all errors with an exit code or a hint of their own.
func causes() []aCause {
	return slices.Concat(commandCauses(), launcherCauses(), silenceCauses(), setupCauses(), hostCauses(),
		networkCauses(), []aCause{{is(context.DeadlineExceeded), exitDeadline, nil}})
}

// commandCauses are the errors of the commands, and of a VM that is not in the state that they need.
func commandCauses() []aCause {
	return []aCause{
		{isA[*usageError], exitUsage, hintOf((*usageError).hint)},
		{isA[*sudoError], exitUsage, hintOf((*sudoError).hint)},
		{isA[vms.Errors], exitUsage, nil},
		{isA[*vms.WritableError], exitUsage, hintOf(closeHint)},
		{isA[*launcher.DefinitionError], exitUsage, nil},
		{is(vms.ErrNoHome), exitHost, fixed("export HOME=/PATH # a directory of yours")},
		{isA[*launcher.LoginError], exitUsage, hintOf(func(e *launcher.LoginError) string {
			return fmt.Sprintf("user = %q in the definition's [ssh] table", e.User)
		})},
		{isA[*lossError], exitUsage, hintOf((*lossError).hint)},
		{isA[*launcher.NoVMError], exitNoVM, hintOf(noVMHint)},
		{isA[*launcher.ExistsError], exitFailed, hintOf(func(e *launcher.ExistsError) string { return "qlaunch edit " + e.Name })},
		{isA[*vms.ClashError], exitBusy, hintOf(clashHint)},
		{is(launcher.ErrInterrupted), exitInterrupted, nil},
		{is(context.Canceled), exitInterrupted, nil},
		{isA[*launcher.DeadlineError], exitDeadline, hintOf(lateHint)},
		{isA[*launcher.AddressTakenError], exitBusy, hintOf(func(e *launcher.AddressTakenError) string { return "qlaunch ip " + e.Name + " --explain" })},
		{isA[*launcher.MonitorError], exitFailed, hintOf(monitorHint)},
		{isA[*launcher.NoDisplayError], exitFailed,
			fixed(`type = "vnc" in the definition's [display] table gives it a display at its next start`)},
		{isA[*launcher.NoViewerError], exitFailed, hintOf(viewerHint)},
		{is(launcher.ErrNotRunning), exitNotRunning, nil},
		{isA[*launcher.RunsError], exitBusy, hintOf(func(e *launcher.RunsError) string { return "qlaunch down " + e.Name })},
		{isA[*launcher.OtherFileError], exitBusy, hintOf(func(e *launcher.OtherFileError) string { return "qlaunch down " + e.Name })},
		{is(launcher.ErrBusy), exitBusy, nil},
		{isA[*launcher.StrangerError], exitBusy, hintOf(func(e *launcher.StrangerError) string { return "qlaunch down " + e.Name })},
		{is(launcher.ErrRunning), exitBusy, nil},
		{isA[*launcher.OpenError], exitBusy, nil},
		{isA[*launcher.MACError], exitBusy, nil},
		{isA[*launcher.OrphanError], exitBusy, hintOf(func(e *launcher.OrphanError) string { return "qlaunch down " + e.Name })},
		{is(launcher.ErrConsoleTaken), exitBusy, nil},
		{is(launcher.ErrAgentTaken), exitBusy, nil},
		{isA[*launcher.SSHConfigError], exitFailed, hintOf(func(e *launcher.SSHConfigError) string { return "this line at its top does the same: " + e.Line })},
		{is(launcher.ErrNoCopyServer), exitFailed, fixed("sudo apt install openssh-sftp-server # in the guest")},
		{isA[*launcher.PausedError], exitFailed, hintOf(func(e *launcher.PausedError) string { return "qlaunch resume " + e.VM })},
		{isA[*launcher.NoAgentError], exitFailed, hintOf(func(e *launcher.NoAgentError) string {
			return "qlaunch wait " + e.Name + " --for agent # needs qemu-guest-agent in the guest"
		})},
		{is(launcher.ErrAgentSilent), exitFailed, nil},
		{is(launcher.ErrNoProgram), exitNoProgram, nil},
		{isA[*launcher.ElsewhereError], exitBusy, hintOf(elsewhereHint)},
		{is(launcher.ErrCalledOff), exitBusy, nil},
		{isA[*launcher.NoManagerError], exitHost, fixed(launcher.ManagerCure)},
		{isA[*launcher.BreakerError], exitHost,
			fixed("without that line, and after systemctl --user daemon-reload, the bridge helper works")},
		{isA[*launcher.OldManagerError], exitHost, hintOf(oldManagerHint)},
		{isA[*launcher.UnitError], exitFailed, hintOf(unitHint)},
	}
}

// launcherCauses are the errors of a start: what QEMU needs and lacks, and how it ends.
func launcherCauses() []aCause {
	return []aCause{
		{isA[*launcher.OldQEMUError], exitHost,
			fixed(`binary = "PATH" in the definition's [qemu] table, with a newer QEMU`)},
		{is(launcher.ErrVhostDenied), exitHost, hintOf(vhostHint)},
		{is(launcher.ErrNoVhost), exitHost, fixed("sudo modprobe vhost_net")},
		{isA[*launcher.SpaceError], exitHost, hintOf(func(e *launcher.SpaceError) string { return "df -h " + shellLine([]string{e.Dir}) })},
		{is(launcher.ErrNoLinger), exitHost, fixed("loginctl enable-linger")},
		{is(launcher.ErrNoKVM), exitHost,
			fixed(`sudo modprobe kvm_intel || sudo modprobe kvm_amd # or accel = "tcg" in the definition, which is slow`)},
		{is(launcher.ErrKVMDenied), exitHost, hintOf(kvmHint)},
		{isA[*launcher.KVMError], exitHost, nil},
		{isA[*launcher.NoQEMUError], exitHost, hintOf(noQEMUHint)},
		{is(launcher.ErrNoUEFI), exitHost, fixed("sudo apt install ovmf qemu-efi-aarch64")},
		{isA[*launcher.AttributeError], exitUsage, hintOf(func(e *launcher.AttributeError) string {
			return "sudo chattr -" + e.Letter + " " + shellLine([]string{e.Path})
		})},
		{is(launcher.ErrNotWritable), exitUsage, fixed(`readonly = true in that disk's table, if the guest only reads it`)},
		{isA[*launcher.CompressedError], exitUsage, hintOf(unpackHint)},
		{isA[*launcher.NotPrivateError], exitHost, hintOf(privateHint)},
		{isA[*launcher.RunDirError], exitHost, fixed(ownRunDir)},
		{isA[*launcher.DeniedError], exitUsage, hintOf(permitHint)},
		{is(launcher.ErrFile), exitUsage, nil},
		{is(launcher.ErrDeviceAbsent), exitUsage, fixed("lsblk")},
		{is(launcher.ErrNotGrown), exitUsage, fixed("without a size in its table, a disk keeps its own")},
		{isA[*launcher.DanglingError], exitUsage, hintOf(func(e *launcher.DanglingError) string {
			return "rm " + shellLine([]string{e.Path}) + " # or mount the file system that it leads to"
		})},
		{is(launcher.ErrDiskMissing), exitUsage, fixed(`size = "20GiB" in that disk's table creates it`)},
		{is(launcher.ErrDiskKind), exitUsage, nil},
		{isA[*launcher.FormatError], exitUsage, hintOf(convertHint)},
		{is(launcher.ErrEmptyImage), exitUsage, hintOf(func(e *launcher.DiskError) string {
			return "rm " + shellLine([]string{e.Path}) + " # a size in that disk's table then makes it"
		})},
		{is(launcher.ErrNotQCOW2), exitUsage, fixed(`format = "raw" in that disk's table, if it is a raw image`)},
		{is(launcher.ErrBackingFile), exitUsage, nil},
		{is(launcher.ErrExternalData), exitUsage, nil},
		{isA[*launcher.InUseError], exitBusy, hintOf(inUseHint)},
		{is(launcher.ErrDiskInUse), exitBusy, nil},
		{isA[*launcher.LoopError], exitBusy, hintOf(func(e *launcher.LoopError) string {
			return "sudo losetup --detach " + e.Device + " # once nothing of it is mounted"
		})},
		{isA[*launcher.ClaimedError], exitBusy, hintOf(claimedHint)},
		{is(launcher.ErrNoMemory), exitQEMU, fixed("less memory in the definition, or what others have freed: free -h")},
		{is(launcher.ErrLittleMemory), exitHost, fixed("free -h")},
		{is(launcher.ErrNoSpice), exitHost, fixed("sudo apt install qemu-system-modules-spice")},
		{is(launcher.ErrArchCapabilities), exitQEMU, fixed(`cpu = "host,-arch-capabilities" in the definition`)},
		{isA[*launcher.DiedError], exitQEMU, nil},
		{is(launcher.ErrEnded), exitQEMU, nil},
		{isA[*launcher.StartError], exitQEMU, nil},
		{isA[*launcher.DiskError], exitUsage, nil}, // all other errors of a disk
	}
}

// silenceCauses are the errors of a guest that runs and cannot be reached.
func silenceCauses() []aCause {
	return []aCause{
		{isA[*launcher.NoAddressError], exitFailed,
			hintOf(func(e *launcher.NoAddressError) string { return hintFor(e.Cause) })},
		{isA[*launcher.ConsoleError], exitFailed, hintOf(consoleHint)},
	}
}

// setupCauses are the errors of net setup and net teardown, except those of a bridged NIC.
func setupCauses() []aCause {
	return []aCause{
		{is(host.ErrNotRoot), exitHost, hintOf((*netError).hint)},
		{is(host.ErrBusy), exitBusy, nil},
		{isA[*host.InUseError], exitBusy, fixed("sudo qlaunch net teardown --force # they lose their network")},
		{isA[*host.NoProgramError], exitHost, fixed("sudo apt install dnsmasq-base nftables")},
		{is(host.ErrRequest), exitUsage, nil},
		{is(host.ErrSubnetTaken), exitUsage,
			fixed("sudo qlaunch net setup --subnet CIDR # one that the host has no route to")},
		{is(host.ErrExposed), exitHost, fixed("sudo qlaunch net setup --bridge NAME # a bridge of its own")},
		{is(host.ErrReadOnly), exitHost, nil},
		{isA[*launcher.UntrustedError], exitHost, hintOf(func(e *launcher.UntrustedError) string {
			if e.Mode {
				return "sudo chmod go-w " + shellLine([]string{e.Component})
			}
			return "sudo chown -h root " + shellLine([]string{e.Component})
		})},
	}
}

// hostCauses are the errors that keep a guest from getting a bridged NIC.
func hostCauses() []aCause {
	return bridgeCauses([]hostCause{
		{launcher.ErrNoBridge, onBridge(setUp)},
		{launcher.ErrNotBridge, nil},
		{launcher.ErrBridgeDown, onBridge(bridgeDownHint)},
		{launcher.ErrACLMissing, onBridge(setUp)},
		{launcher.ErrACLUnreadable, hintOf(func(e *launcher.ACLError) string {
			return joinGroup(e.Group, e.LogInAgain, "sudo chmod o+r "+e.File)
		})},
		{launcher.ErrACLSyntax, hintOf(editACL)},
		{launcher.ErrACLComment, hintOf(editACL)},
		{launcher.ErrDenied, hintOf(deniedHint)},
		{launcher.ErrNoHelper, fixed("sudo apt install qemu-system-common")},
		{launcher.ErrHelperForbidden, hintOf(func(e *launcher.HelperError) string {
			return joinGroup(e.Group, e.LogInAgain, "sudo chmod o+rx "+e.Helper)
		})},
		{launcher.ErrHelperNotSetuid, onBridge(setUp)},
		{launcher.ErrNoNewPrivs, fixed("start it outside of what set no_new_privs: a container, a sandbox, a unit with NoNewPrivileges=")},
		{launcher.ErrUserNamespace, fixed("start it outside of the container or sandbox")},
		{launcher.ErrNosuidMount, hintOf(func(e *launcher.HelperError) string {
			return `helper = "PATH" in the definition's [qemu] table, with a copy of ` + e.Helper + " elsewhere"
		})},
		{launcher.ErrNoTun, fixed("sudo modprobe tun")},
		{launcher.ErrTunPermission, fixed("sudo chmod 666 /dev/net/tun")},
		{launcher.ErrHelperTimeout, nil},
		{launcher.ErrNoTapFD, nil},
		{launcher.ErrHelperFailed, nil},
	})
}

// networkCauses are the errors of the network behind a guest's NIC. doctor finds them.
func networkCauses() []aCause {
	return bridgeCauses([]hostCause{
		{launcher.ErrBridgeNoAddress, onBridge(bringBack)},
		{launcher.ErrAllAllowed, hintOf(editACL)},
		{launcher.ErrUplink, onBridge(func(t launcher.BridgeTarget) string { return "ip link show master " + shellLine([]string{t.Bridge}) })},
		{launcher.ErrStaleManager, fixed("sudo systemctl restart user@$(id -u) # ends all that runs in it")},
		{launcher.ErrNoDHCP, onBridge(noDHCPHint)},
		{launcher.ErrTapDetached, onBridge(setUp)},
		{launcher.ErrPortWaits, onBridge(delayHint)},
		{launcher.ErrSTPDelay, onBridge(delayHint)},
		{launcher.ErrPortBlocked, hintOf(blockedHint)},
		{launcher.ErrOtherMAC, hintOf(func(e *launcher.OtherMACError) string {
			return fmt.Sprintf("mac = \"%s\" in the definition's [[nic]] table, if the guest is to keep it", e.MAC)
		})},
		{launcher.ErrNoAnswer, onBridge(watchDHCP)},
		{launcher.ErrNotServed, onBridge(watchDHCP)},
		{launcher.ErrForwardUnseen, onBridge(func(t launcher.BridgeTarget) string {
			return "sudo iptables -S FORWARD # where its policy is DROP: " + bridgedAccept(t)
		})},
		{launcher.ErrBridgedDropped, onBridge(bridgedAccept)},
		{launcher.ErrAddressElsewhere, hintOf(func(e *launcher.AddressElsewhereError) string {
			return fmt.Sprintf("ip route get %s # has to lead to %s", e.IP, clean(e.Bridge))
		})},
		{launcher.ErrDHCPDead, hintOf(deadHint)},
		{launcher.ErrLeasesUnreadable, hintOf(func(e *launcher.ServerError) string {
			return "sudo chmod o+r " + shellLine([]string{e.Server.Leases})
		})},
		{launcher.ErrPortTaken, hintOf(func(e *launcher.PortTakenError) string {
			return fmt.Sprintf("sudo ss -lntup sport = :%d", e.Port)
		})},
		{launcher.ErrForwardingOff, onBridge(setUp)},
		{launcher.ErrForwardDropped, hintOf(firewallHint)},
		{launcher.ErrInputDropped, hintOf(firewallHint)},
		{launcher.ErrFirewallUnknown, hintOf(func(e *launcher.FirewallError) string {
			if e.Chain == "" {
				return "sudo nft list ruleset"
			}
			return "sudo nft list chain " + e.Chain
		})},
		{launcher.ErrNoNAT, onBridge(bringBack)},
		{launcher.ErrFewerRules, onBridge(setUp)},
		{launcher.ErrRouteCollides, onBridge(func(t launcher.BridgeTarget) string {
			if t.Own {
				return "sudo qlaunch net teardown && sudo qlaunch net setup"
			}
			return "ip route"
		})},
		{launcher.ErrMTU, hintOf(func(e *launcher.MTUError) string {
			return fmt.Sprintf("sudo ip link set %s mtu %d", shellLine([]string{e.Bridge}), e.MTU)
		})},
		{launcher.ErrMACTaken, fixed(ownMAC)},
		{launcher.ErrManagerMeddles, onBridge(func(t launcher.BridgeTarget) string {
			return "sudo nmcli device set " + shellLine([]string{t.Bridge}) + " managed no"
		})},
	})
}

// A hostCause is a row for an error of netsetup.
type hostCause struct {
	cause error
	hint  func(error) string
}

func bridgeCauses(rows []hostCause) []aCause {
	var causes []aCause
	for _, r := range rows {
		causes = append(causes, aCause{is(r.cause), exitHost, r.hint})
	}
	return causes
}

// onBridge makes a hint that depends only on the bridge.
func onBridge(hint func(launcher.BridgeTarget) string) func(error) string {
	return func(err error) string { return hint(launcher.TargetOf(err)) }
}

const ownMAC = "without a mac in its definition, each VM gets one of its own"

func clashHint(e *vms.ClashError) string {
	if strings.HasPrefix(e.What, "mac ") {
		return ownMAC
	}
	return "a VM has the name of its file"
}

// closeHint takes from others what they could change a definition by. Who owns something else than this user or root
// has to be asked.
func closeHint(e *vms.WritableError) string {
	command := "chmod go-w " + shellLine([]string{e.Path})
	switch {
	case !e.Chmod:
		return ""
	case !e.Own:
		return "sudo " + command
	}
	return command
}

// setUp is the command that sets up the host, for the named bridge or for one that qlaunch finds or makes.
func setUp(t launcher.BridgeTarget) string {
	if t.Auto || t.Bridge == "" || t.Bridge == launcher.OwnBridge {
		return "sudo qlaunch net setup"
	}
	return "sudo qlaunch net setup --bridge " + shellLine([]string{t.Bridge})
}

// firewallHint lets guests through a firewall. On a bridge of our own setup does, as far as a table of nft's own lets
// it; around another's bridge it changes nothing.
func firewallHint(e *launcher.FirewallError) string {
	table, bridge := strings.Fields(e.Chain), shellLine([]string{e.Bridge})
	ofFirewalld := len(table) > 1 && table[1] == "firewalld"
	switch {
	case e.Chain != "" && !ofFirewalld:
		return "sudo nft list chain " + e.Chain
	case e.Own:
		return setUp(e.Target)
	case ofFirewalld:
		return "sudo firewall-cmd --zone=trusted --add-interface=" + bridge + " # and with --permanent, for the next boot"
	case errors.Is(e.Cause, launcher.ErrInputDropped):
		return "sudo iptables -I INPUT -i " + bridge + " -p udp --dport 67 -j ACCEPT"
	}
	return "sudo iptables -I FORWARD -i " + bridge + " -j ACCEPT && " +
		"sudo iptables -I FORWARD -o " + bridge + " -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
}

func bridgeDownHint(t launcher.BridgeTarget) string {
	if t.Own {
		return bringBack(t)
	}
	return "sudo ip link set " + shellLine([]string{t.Bridge}) + " up"
}

// bringBack is for what setup once made, and something has taken away; on other bridges it is still to be made.
func bringBack(t launcher.BridgeTarget) string {
	if t.Own {
		return "sudo systemctl restart qlaunch-net"
	}
	return setUp(t)
}

// deadHint starts a server by what runs it. libvirt names its configuration after the network.
func deadHint(e *launcher.ServerError) string {
	switch e.Server.Kind {
	case launcher.ServerQlaunch:
		return "sudo systemctl restart qlaunch-dhcp"
	case launcher.ServerLibvirt:
		network, isConf := strings.CutSuffix(path.Base(e.Server.Evidence), ".conf")
		if !isConf {
			network = "default"
		}
		return "sudo virsh net-start " + shellLine([]string{network})
	case launcher.ServerNetworkd:
		return "sudo systemctl restart systemd-networkd"
	case launcher.ServerNetworkManager:
		return "sudo systemctl restart NetworkManager"
	}
	return setUp(e.Target)
}

func editACL(e *launcher.ACLError) string { return "sudoedit " + e.File }

// deniedHint distinguishes two cases: no line allows the bridge, or a line denies it.
func deniedHint(e *launcher.ACLError) string {
	if e.Line > 0 {
		return fmt.Sprintf("sudo sed -i %dd %s", e.Line, e.File)
	}
	return setUp(e.Target)
}

// noQEMUHint names the package that has the program, where it is one of QEMU's own.
func noQEMUHint(e *launcher.NoQEMUError) string {
	switch e.Binary {
	case "qemu-system-x86_64":
		return "sudo apt install qemu-system-x86"
	case "qemu-system-aarch64":
		return "sudo apt install qemu-system-arm"
	case "qemu-img":
		return "sudo apt install qemu-utils"
	default:
		return ""
	}
}

// permitHint gives access to this user only.
func permitHint(e *launcher.DeniedError) string {
	file := shellLine([]string{e.Path})
	if e.Own {
		return fmt.Sprintf("chmod u+%s %s", e.Need, file)
	}
	return fmt.Sprintf("sudo setfacl -m u:$USER:%s %s", e.Need, file)
}

// unpackHint makes a kernel that QEMU accepts, beside the one that it refuses.
func unpackHint(e *launcher.CompressedError) string {
	unpacked := e.Path + ".unpacked"
	if slices.Contains([]string{".gz", ".xz", ".zst", ".bz2", ".lz4"}, path.Ext(e.Path)) {
		unpacked = strings.TrimSuffix(e.Path, path.Ext(e.Path))
	}
	return fmt.Sprintf("%s -dc %s >%s # and image = that in the definition's [kernel] table",
		e.Program, shellLine([]string{e.Path}), shellLine([]string{unpacked}))
}

// inUseHint stops the VM that uses a disk. There is no hint to stop another program.
func inUseHint(e *launcher.InUseError) string {
	if e.VM == "" {
		return ""
	}
	return "qlaunch down " + shellLine([]string{e.VM})
}

// convertHint makes a qcow2 image beside one of another program's.
func convertHint(e *launcher.FormatError) string {
	image := strings.TrimSuffix(e.Path, path.Ext(e.Path)) + ".qcow2"
	if image == e.Path {
		image += ".new"
	}
	return fmt.Sprintf("qemu-img convert -f %s -O qcow2 %s %s # and take that as the image", e.Format,
		shellLine([]string{e.Path}), shellLine([]string{image}))
}

// claimedHint gives a device back, or shows what the host has on it.
func claimedHint(e *launcher.ClaimedError) string {
	if e.Mount == "" {
		return "lsblk " + shellLine([]string{e.Device})
	}
	return "sudo umount " + shellLine([]string{e.Mount})
}

// privateHint: what another made is not ours to change, and what lies in the data directory not to be moved away.
func privateHint(e *launcher.NotPrivateError) string {
	switch {
	case e.Mode:
		return "chmod 700 " + shellLine([]string{e.Dir})
	case e.Run && e.Own:
		return "rm " + shellLine([]string{e.Dir})
	case e.Run && e.UID != 0 && os.Getuid() == 0:
		return fmt.Sprintf("sudo -u '#%d' -H qlaunch ls # as the user whose VMs these are", e.UID)
	case e.Run:
		return ownRunDir
	case e.Own:
		return "a disk elsewhere is named by path in its [[disk]] table, and XDG_DATA_HOME moves all that there is"
	}
	return ""
}

// ownRunDir makes a run directory where the system has none for this user.
const ownRunDir = "install -d -m 700 ~/.cache/run && export XDG_RUNTIME_DIR=~/.cache/run"

// kvmHint asks for write access too, since QEMU writes to the device.
func kvmHint(e *launcher.KVMError) string {
	return joinGroup(e.Group, false, "sudo chmod o+rw "+e.Device)
}

// vhostHint asks for write access too, since QEMU writes to the device.
func vhostHint(e *launcher.VhostError) string {
	return joinGroup(e.Group, false, "sudo chmod o+rw "+e.Device)
}

// joinGroup returns how to join the group that may use a file or, if there is no such group, how to open it to all.
func joinGroup(group string, loginIsAll bool, open string) string {
	switch {
	case loginIsAll:
		return fmt.Sprintf("log out and in again: this session is older than your place in group %s", group)
	case group == "", group == "root": // no user should join root's group
		return open
	}
	return fmt.Sprintf("sudo usermod -aG %s $USER # then log in again", group)
}

// orInterrupted is an error, or, where that tells of an end that the user wanted, only that: what was going on at
// that moment is of no use.
func orInterrupted(err error) error {
	if errors.Is(err, launcher.ErrInterrupted) || errors.Is(err, context.Canceled) {
		return launcher.ErrInterrupted
	}
	return err
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func fixed(hint string) func(error) string { return func(error) string { return hint } }

// hintOf makes a hint from the fields of an error of one type.
func hintOf[E error](hint func(E) string) func(error) string {
	return func(err error) string {
		if e, ok := errors.AsType[E](err); ok {
			return hint(e)
		}
		return ""
	}
}

// hintFor returns the hint of an error.
func hintFor(err error) string {
	_, hint := verdict(err)
	return hint
}

// lateHint returns the hint of the cause or, if it has none, what to examine at the stage that was reached.
func lateHint(e *launcher.DeadlineError) string {
	if hint := hintFor(e.Cause); hint != "" {
		return hint
	}
	switch {
	case errors.Is(e.Err, launcher.ErrAgentSilent):
		return fmt.Sprintf("does qemu-guest-agent run in it? qlaunch logs %s", e.Name)
	case !e.ForAddress():
		return fmt.Sprintf("does an sshd run in it? qlaunch logs %s", e.Name)
	case e.Stage == launcher.Silent:
		return fmt.Sprintf("has it booted? qlaunch logs %s", e.Name)
	}
	return fmt.Sprintf("does a DHCP server answer on the bridge? qlaunch ip %s --explain", e.Name)
}

// noVMHint is the command that lists the VMs, unless a file was named.
func noVMHint(e *launcher.NoVMError) string {
	if vms.IsPath(e.Ref) {
		return ""
	}
	return "qlaunch ls"
}

func monitorHint(e *launcher.MonitorError) string {
	if e.Stopped {
		return fmt.Sprintf("kill -CONT %d", e.PID)
	}
	return ""
}

func elsewhereHint(e *launcher.ElsewhereError) string {
	return "qlaunch restart " + e.Name + " # ends that QEMU, and starts the VM in its unit"
}

func oldManagerHint(e *launcher.OldManagerError) string {
	return fmt.Sprintf("sudo systemctl restart user@%d.service # ends all of your units, VMs too", e.UID)
}

func unitHint(e *launcher.UnitError) string {
	if e.State.NoProgram() {
		return "qlaunch enable " + e.Name + " # writes the unit anew, with the path of this qlaunch"
	}
	return "journalctl --user --unit " + e.Unit()
}

// consoleHint is where a guest that is stuck can be helped on.
func consoleHint(e *launcher.ConsoleError) string {
	name := e.VM.Name
	switch {
	case errors.Is(e, launcher.ErrNoBootDevice):
		return "qlaunch edit " + name + ` # a [[disk]] with a system on it, the firmware that this system is for, or a [kernel]`
	case errors.Is(e, launcher.ErrPanic):
		return "qlaunch logs " + name
	case errors.Is(e, launcher.ErrHalted):
		return "qlaunch restart " + name
	case errors.Is(e, launcher.ErrNoOutput) && e.VM.Display.Type != vms.DisplayNone:
		return "qlaunch screenshot " + name
	case errors.Is(e, launcher.ErrNoOutput):
		return "console=ttyS0 on the guest's kernel command line shows what it does"
	}
	return "qlaunch console " + name
}

// noDHCPHint considers that setup serves DHCP only on bridges of its own.
func noDHCPHint(t launcher.BridgeTarget) string {
	if t.Own {
		return setUp(t)
	}
	return fmt.Sprintf("sudo qlaunch net setup --bridge %s # makes one with DHCP, for bridge = %[1]q in the definition",
		launcher.OwnBridge)
}

func delayHint(t launcher.BridgeTarget) string {
	return "sudo ip link set " + shellLine([]string{t.Bridge}) + " type bridge forward_delay 200 # 2 s, twice"
}

// blockedHint: what the spanning tree has closed is a loop of bridges; else somebody has closed the port.
func blockedHint(e *launcher.BlockedTapError) string {
	if e.STP {
		return "bridge -d link show dev " + e.Tap
	}
	return "sudo bridge link set dev " + e.Tap + " state 3"
}

func watchDHCP(t launcher.BridgeTarget) string {
	return "sudo tcpdump -eni " + shellLine([]string{t.Bridge}) + " port 67 or port 68 # shows what the guest asks, and who answers"
}

func bridgedAccept(t launcher.BridgeTarget) string {
	bridge := shellLine([]string{t.Bridge})
	return "sudo iptables -I FORWARD -i " + bridge + " -o " + bridge + " -j ACCEPT"
}

func viewerHint(e *launcher.NoViewerError) string {
	if e.Display == vms.DisplaySpice {
		return "sudo apt install virt-viewer"
	}
	return "sudo apt install tigervnc-viewer"
}

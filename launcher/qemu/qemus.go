package qemu

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// QEMU is a process of this user with the command line of a VM's QEMU.
type QEMU struct {
	Name   string // the VM's
	PID    int
	RunDir string // the directory of its pid file, even if that was deleted
	log    string // the console log; empty if there is none
	words  []string
}

// QEMUs returns the processes of this user that are QEMUs of VMs, whatever their directories.
func QEMUs() ([]QEMU, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []QEMU
	for _, number := range names {
		pid, err := strconv.Atoi(number)
		if err != nil {
			continue
		}
		if q, ok := qemuOf(pid); ok {
			all = append(all, q)
		}
	}
	return all, nil
}

// The maximal number of bytes that are read of a command line: the option -pidfile is near its front. If it is there,
// the whole line is read.
const (
	frontOfLine = 16 << 10
	mostOfLine  = 2 << 20 // the kernel's limit for all arguments, by default (execve(2))
)

// qemuOf reports whether a process belongs to this user and has the command line of a VM's QEMU, by its option
// -pidfile.
func qemuOf(pid int) (QEMU, bool) {
	dir := fmt.Sprintf("/proc/%d", pid)
	var stat unix.Stat_t
	if err := unix.Stat(dir, &stat); err != nil || int(stat.Uid) != os.Getuid() {
		return QEMU{}, false
	}
	f, err := os.Open(dir + "/cmdline")
	if err != nil {
		return QEMU{}, false
	}
	defer f.Close()
	line, _ := io.ReadAll(io.LimitReader(f, frontOfLine)) // empty if the process ends in the meantime
	if !bytes.Contains(line, []byte("\x00-pidfile\x00")) {
		return QEMU{}, false
	}
	rest, _ := io.ReadAll(io.LimitReader(f, mostOfLine))
	return parseQEMU(pid, string(append(line, rest...)))
}

// parseQEMU parses a command line, whose arguments end with zero bytes, as in /proc.
func parseQEMU(pid int, line string) (QEMU, bool) {
	q := QEMU{PID: pid, words: strings.Split(strings.TrimSuffix(line, "\x00"), "\x00")}
	pidfile := q.option("-pidfile")
	q.RunDir = filepath.Dir(pidfile)
	q.Name = filepath.Base(q.RunDir)
	ok := filepath.IsAbs(pidfile) && filepath.Clean(pidfile) == pidfile && filepath.Base(pidfile) == pidName && vms.CheckName(q.Name) == nil
	const console = "socket,id=" + consoleChardev + ","
	for _, word := range q.words {
		if rest, found := strings.CutPrefix(word, console); found {
			q.log = optionOf(rest, "logfile")
		}
	}
	return q, ok
}

// option returns the argument after an option's first occurrence.
func (q QEMU) option(name string) string {
	i := slices.Index(q.words, name)
	if i < 0 || i+1 == len(q.words) {
		return ""
	}
	return q.words[i+1]
}

// IsOf reports whether a QEMU is that of a VM: it has the VM's run directory, or the one that the lock in the VM's
// data directory names, or writes the VM's log, or was started with the VM's definition. The name alone is not
// enough, since another home directory has other VMs.
func (q QEMU) IsOf(vm vms.VM) bool {
	if q.Name != vm.Name {
		return false
	}
	if q.RunDir == vm.RunDir || vms.SameFile(q.RunDir, vm.RunDir) || q.log == ConsoleLog(vm) || q.log != "" && vms.SameFile(q.log, ConsoleLog(vm)) {
		return true
	}
	if dir, _, _ := readRunning(vm); dir == q.RunDir {
		return true
	}
	if CheckRunDir(q.RunDir) != nil {
		return false
	}
	from := vms.Origin(q.RunDir)
	return from != "" && vms.SameFile(from, vm.File)
}

// optionOf returns the value of a key in the argument after a chardev's id, as list writes it.
func optionOf(text, key string) string {
	const comma = "\x00" // cannot occur in an argument
	for part := range strings.SplitSeq(strings.ReplaceAll(text, ",,", comma), ",") {
		if value, found := strings.CutPrefix(part, key+"="); found {
			return strings.ReplaceAll(value, comma, ",")
		}
	}
	return ""
}

// MACError says that another QEMU of this user has one of the VM's MACs on a bridge.
type MACError struct {
	MAC  vms.MAC
	Name string // the other VM's
	PID  int
}

// Error returns the other VM.
func (e *MACError) Error() string {
	return fmt.Sprintf("mac %s is that of a VM that runs: %s, QEMU pid %d", e.MAC, e.Name, e.PID)
}

// FreeMACs returns a *MACError if one of the QEMUs has the MAC of one of a VM's bridged NICs on a bridge: two guests
// with the same MAC take each other's lease. Such a QEMU belongs to another home directory, or to a definition that
// has changed since.
func FreeMACs(vm vms.VM, all []QEMU) error {
	mine := map[string]vms.MAC{}
	for _, nic := range vm.NICs {
		if nic.Type == vms.NICBridge {
			mine[nic.MAC.String()] = nic.MAC
		}
	}
	for _, q := range all {
		for _, mac := range q.bridgedMACs() {
			if taken, ok := mine[strings.ToLower(mac)]; ok {
				return &MACError{taken, q.Name, q.PID}
			}
		}
	}
	return nil
}

// bridgedMACs returns the MACs of a QEMU's NICs that are on a bridge.
func (q QEMU) bridgedMACs() []string {
	bridged := map[string]bool{}
	for _, word := range q.options("-netdev") {
		var backend struct{ Type, ID string }
		if json.Unmarshal([]byte(word), &backend) == nil {
			bridged[backend.ID] = backend.Type == "tap" || backend.Type == "bridge"
		}
	}
	var macs []string
	for _, word := range q.options("-device") {
		var nic struct{ Netdev, MAC string }
		if json.Unmarshal([]byte(word), &nic) != nil { // an earlier version wrote devices as JSON
			nic.Netdev, nic.MAC = optionOf(word, "netdev"), optionOf(word, "mac")
		}
		if bridged[nic.Netdev] {
			macs = append(macs, nic.MAC)
		}
	}
	return macs
}

// options returns the arguments after each occurrence of an option.
func (q QEMU) options(name string) []string {
	var words []string
	for i := range len(q.words) - 1 {
		if q.words[i] == name {
			words = append(words, q.words[i+1])
		}
	}
	return words
}

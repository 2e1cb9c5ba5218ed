package netsetup

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxProcesses limits the search. A host has hundreds of processes.
const maxProcesses = 1 << 16

// A dhcpHost is the host on which the DHCP server of a bridge is searched for.
type dhcpHost struct {
	root    string
	bridge  string
	subnets []netip.Prefix // of the bridge

	dnsmasqs        []dnsmasqProcess
	networkdRunning bool
	seesAll         bool // processes of other users are visible: /proc is not mounted with hidepid
}

// A dnsmasqProcess is a running dnsmasq and its options.
type dnsmasqProcess struct {
	pid     int
	options dnsmasqOptions
}

func (h *dhcpHost) at(path string) string { return filepath.Join(h.root, path) }

func (h *dhcpHost) has(path string) bool {
	_, err := os.Stat(h.at(path))
	return err == nil
}

// scan reads the command line of every process that could serve DHCP. It leaves out processes that are known to be in
// another network namespace; an ordinary user can see that only for their own processes.
func (h *dhcpHost) scan() {
	dir, err := os.Open(h.at("/proc"))
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(maxProcesses)
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	own, _ := os.Readlink(h.at("/proc/self/ns/net"))
	for _, pid := range pids {
		argv := h.commandLine(pid)
		h.seesAll = h.seesAll || pid == 1 && len(argv) > 0
		if len(argv) > 0 && h.mayServe(pid, own) {
			h.take(pid, argv)
		}
	}
}

// mayServe reports whether a process can serve DHCP here. A process of another ordinary user cannot: only root may bind
// the port, and dnsmasq then continues as a system user. Its command line and the files named there are not trusted.
func (h *dhcpHost) mayServe(pid int, own string) bool {
	const firstOrdinary, nobody = 1000, 65534
	var st unix.Stat_t
	if unix.Stat(h.proc(pid, ""), &st) != nil {
		return false
	}
	if st.Uid >= firstOrdinary && st.Uid != nobody && int(st.Uid) != os.Geteuid() {
		return false
	}
	net, err := os.Readlink(h.proc(pid, "ns/net"))
	return err != nil || own == "" || net == own
}

func (h *dhcpHost) take(pid int, argv []string) {
	switch name := filepath.Base(argv[0]); {
	case !slices.Contains([]string{"systemd-networkd", "dnsmasq"}, name) || !RunsProgram(h.root, pid, name):
	case name == "systemd-networkd":
		h.networkdRunning = true
	default:
		o := dnsmasqOptions{root: h.root}
		o.readArguments(argv[1:])
		h.dnsmasqs = append(h.dnsmasqs, dnsmasqProcess{pid, o})
	}
}

func (h *dhcpHost) proc(pid int, file string) string {
	return h.at(filepath.Join("/proc", strconv.Itoa(pid), file))
}

func (h *dhcpHost) commandLine(pid int) []string {
	data := readSome(h.proc(pid, "cmdline"), maxCommand)
	if len(data) == 0 {
		return nil
	}
	var argv []string
	for word := range bytes.SplitSeq(bytes.TrimSuffix(data, []byte{0}), []byte{0}) {
		argv = append(argv, string(word))
	}
	return argv
}

// idle returns a server that is configured and for which no process was found. It does not count as dead if a dnsmasq
// runs whose configuration this user cannot read, as libvirt's is readable only by root.
func (h *dhcpHost) idle(kind, evidence, leases string) Server {
	secret := slices.ContainsFunc(h.dnsmasqs, func(p dnsmasqProcess) bool { return p.options.unread && p.options.kind() == kind })
	return Server{Kind: kind, Evidence: evidence, Leases: leases, Dead: h.seesAll && !secret}
}

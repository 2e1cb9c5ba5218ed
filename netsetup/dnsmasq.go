package netsetup

import (
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// dnsmasqOptions are the options of a dnsmasq, from its command line and the files named there, that decide whether it
// serves DHCP on a bridge: dnsmasq(8).
type dnsmasqOptions struct {
	root       string
	file       string // the first configuration file
	interfaces []string
	excepted   []string
	ranges     []string
	leases     string
	filesRead  int
	unread     bool // this user cannot read one of its files: what it serves is unknown
}

// serves reports whether the dnsmasq gives out addresses on the bridge. One that names no interface serves the
// interfaces whose subnet contains one of its ranges.
func (o *dnsmasqOptions) serves(bridge string, subnets []netip.Prefix) bool {
	named := func(pattern string) bool { // a name, or a prefix followed by a star
		begin, star := strings.CutSuffix(pattern, "*")
		return pattern == bridge || star && strings.HasPrefix(bridge, begin)
	}
	switch {
	case len(o.ranges) == 0 || slices.ContainsFunc(o.excepted, named):
		return false
	case len(o.interfaces) > 0:
		return slices.ContainsFunc(o.interfaces, named)
	case strings.HasSuffix(o.leases, "/dnsmasq-"+bridge+".leases"): // NetworkManager's, which listens on an address
		return true
	}
	return slices.ContainsFunc(o.ranges, func(r string) bool {
		for part := range strings.SplitSeq(r, ",") {
			if addr, err := netip.ParseAddr(part); err == nil {
				return slices.ContainsFunc(subnets, func(p netip.Prefix) bool { return p.Contains(addr) })
			}
		}
		return false
	})
}

// kind returns the program or package that the dnsmasq belongs to, from the paths of its files.
func (o *dnsmasqOptions) kind() string {
	switch {
	case strings.HasPrefix(o.file, "/etc/qlaunch/"):
		return ServerQlaunch
	case strings.HasPrefix(o.file, "/var/lib/libvirt/"):
		return ServerLibvirt
	case strings.HasPrefix(o.leases, "/var/lib/NetworkManager/"):
		return ServerNetworkManager
	}
	return ServerDnsmasq
}

// readArguments reads a command line. If it names no configuration file, dnsmasq reads the default one.
func (o *dnsmasqOptions) readArguments(argv []string) {
	for i := range argv {
		key, value, joined := longOption(argv[i])
		if !joined && i+1 < len(argv) && !strings.HasPrefix(argv[i+1], "-") {
			value = argv[i+1]
		}
		o.set(key, value, 0)
	}
	if o.file == "" {
		o.readFile("/etc/dnsmasq.conf", 0)
		o.file = ""
	}
}

// longOption returns an argument as a long option. joined means that the argument contains the value.
func longOption(arg string) (key, value string, joined bool) {
	if long, ok := strings.CutPrefix(arg, "--"); ok {
		return strings.Cut(long, "=")
	}
	if len(arg) < 2 || arg[0] != '-' {
		return "", "", true
	}
	short := map[byte]string{'i': "interface", 'I': "except-interface", 'F': "dhcp-range", 'C': "conf-file", '7': "conf-dir", 'l': "dhcp-leasefile"}
	return short[arg[1]], arg[2:], len(arg) > 2
}

// set records an option. depth is the nesting depth of the file that contains it.
func (o *dnsmasqOptions) set(key, value string, depth int) {
	switch key {
	case "interface":
		o.interfaces = append(o.interfaces, strings.Split(value, ",")...)
	case "except-interface":
		o.excepted = append(o.excepted, strings.Split(value, ",")...)
	case "dhcp-range":
		o.ranges = append(o.ranges, value)
	case "dhcp-leasefile":
		o.leases = value
	case "conf-file":
		if o.file == "" {
			o.file = value
		}
		o.readFile(value, depth)
	case "conf-dir":
		dir, suffixes, _ := strings.Cut(value, ",")
		o.readDirectory(dir, strings.Split(suffixes, ","), depth)
	}
}

// readDirectory reads the files of a directory that dnsmasq reads.
func (o *dnsmasqOptions) readDirectory(dir string, suffixes []string, depth int) {
	entries, _ := os.ReadDir(filepath.Join(o.root, dir))
	for _, entry := range entries {
		info, err := os.Stat(filepath.Join(o.root, dir, entry.Name()))
		if err == nil && info.Mode().IsRegular() && inConfDir(entry.Name(), suffixes) {
			o.readFile(path.Join(dir, entry.Name()), depth)
		}
	}
}

// inConfDir reports whether dnsmasq reads a file of that name in a directory: dnsmasq(8), conf-dir. It skips names that
// end in a suffix; if suffixes with a star are given, it also skips names that end in none of them. A name that equals
// a suffix does not end in it.
func inConfDir(name string, suffixes []string) bool {
	if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#") {
		return false
	}
	required, met := false, false
	for _, suffix := range suffixes {
		suffix, star := strings.CutPrefix(strings.TrimSpace(suffix), "*")
		ends := suffix != "" && len(name) > len(suffix) && strings.HasSuffix(name, suffix)
		switch {
		case star:
			required, met = required || suffix != "", met || ends
		case ends:
			return false
		}
	}
	return met || !required
}

// readFile reads a configuration file: one option a line, as on the command line but without the dashes. A file that
// this user cannot read adds no options.
func (o *dnsmasqOptions) readFile(file string, depth int) {
	const deepest, most, largest = 4, 256, 1 << 20
	if o.filesRead++; depth >= deepest || o.filesRead > most || !path.IsAbs(file) || file == "/dev/null" {
		return
	}
	data := readSome(filepath.Join(o.root, file), largest)
	o.unread = o.unread || data == nil
	o.readLines(string(data), depth)
}

func (o *dnsmasqOptions) readLines(text string, depth int) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		key, value, _ := strings.Cut(line, "=")
		o.set(strings.TrimSpace(key), strings.TrimSpace(value), depth+1)
	}
}

package netsetup

import (
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// dnsmasqOptions is what matters here of a dnsmasq's command line and of the files that it names, dnsmasq(8).
type dnsmasqOptions struct {
	root       string
	file       string // the first configuration file that it was told
	interfaces []string
	excepted   []string
	ranges     []string
	leases     string
	filesRead  int
	unread     bool // a file that it was told cannot be read by this user: what it serves is not known
}

// serves says whether it gives out addresses on the bridge. One that names no interface serves those in whose subnet a
// range of its lies.
func (o *dnsmasqOptions) serves(bridge string, subnets []netip.Prefix) bool {
	named := func(pattern string) bool { // a name, or the beginning of one and a star
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

// kind tells whose it is, by where its files lie.
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

// readArguments reads a command line; without a configuration file on it, dnsmasq reads its own.
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

// longOption is an argument as the long option that it is; joined says that its value stands with it.
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

// set takes an option in. depth is that of the file that it stands in.
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

// readDirectory reads those files of a directory that dnsmasq reads.
func (o *dnsmasqOptions) readDirectory(dir string, suffixes []string, depth int) {
	entries, _ := os.ReadDir(filepath.Join(o.root, dir))
	for _, entry := range entries {
		info, err := os.Stat(filepath.Join(o.root, dir, entry.Name()))
		if err == nil && info.Mode().IsRegular() && inConfDir(entry.Name(), suffixes) {
			o.readFile(path.Join(dir, entry.Name()), depth)
		}
	}
}

// inConfDir says whether dnsmasq reads a file of that name in a directory, dnsmasq(8), conf-dir: what ends in a suffix
// is left out; where there are suffixes behind a star, what ends in none of those is left out too. A name that is
// nothing but the suffix does not end in it.
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

// readFile reads a configuration file: an option a line, as on the command line without the dashes. What this user
// cannot read says nothing.
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

package netsetup

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// networkd returns systemd-networkd if it serves the bridge, according to the bridge's .network file or to the leases
// that it keeps.
func (h *dhcpHost) networkd() Server {
	leases := ""
	for _, dir := range []string{"/var/lib/systemd/network/dhcp-server-lease/", "/run/systemd/netif/dhcp-server-lease/"} {
		if h.has(dir + h.bridge) {
			leases = dir + h.bridge
			break
		}
	}
	evidence := leases
	if file := h.networkFile(); file != "" && h.asksForServer(file) {
		evidence = file + ": DHCPServer="
	}
	if evidence == "" {
		return Server{}
	}
	s := h.idle(ServerNetworkd, evidence, leases)
	s.Dead = s.Dead && !h.networkdRunning
	return s
}

// networkFile returns the .network file that applies to the bridge: the first by name that matches it, and of several
// with one name the one in the first directory, systemd.network(5).
func (h *dhcpHost) networkFile() string {
	files := map[string]string{}
	for _, dir := range []string{"/etc", "/run", "/usr/local/lib", "/usr/lib"} {
		found, _ := filepath.Glob(h.at(dir + "/systemd/network/*.network"))
		for _, file := range found {
			if name := filepath.Base(file); files[name] == "" {
				files[name] = dir + "/systemd/network/" + name
			}
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for pattern := range strings.FieldsSeq(h.setting(files[name], "[Match]", "Name")) {
			if ok, err := path.Match(pattern, h.bridge); err == nil && ok {
				return files[name]
			}
		}
	}
	return ""
}

// asksForServer reports whether the file and its drop-ins enable the server. The last setting wins.
func (h *dhcpHost) asksForServer(file string) bool {
	drops, _ := filepath.Glob(h.at("/etc/systemd/network/" + filepath.Base(file) + ".d/*.conf"))
	value := h.setting(file, "[Network]", "DHCPServer")
	for _, drop := range drops {
		if v := h.setting("/etc/systemd/network/"+filepath.Base(file)+".d/"+filepath.Base(drop), "[Network]", "DHCPServer"); v != "" {
			value = v
		}
	}
	return slices.Contains([]string{"yes", "true", "1", "on", "y", "t"}, strings.ToLower(value))
}

// setting returns the last value of a key in a section of an INI file.
func (h *dhcpHost) setting(file, section, key string) (value string) {
	const largest = 1 << 20
	in := ""
	for line := range strings.Lines(string(readSome(h.at(file), largest))) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			in = line
		}
		if k, v, ok := strings.Cut(line, "="); ok && in == section && strings.TrimSpace(k) == key {
			value = strings.TrimSpace(v)
		}
	}
	return value
}

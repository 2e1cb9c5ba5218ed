package host

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
)

// ErrRequest says that a request itself makes no sense.
var ErrRequest = errors.New("refused")

// A Name is a guest's name in the DNS of our own bridge that is kept for one MAC.
type Name struct {
	Name string `json:"name"`
	MAC  string `json:"mac"` // as [net.HardwareAddr] prints it
}

// takenNames are those that no guest gets by asking for them: they mean this machine, or another than the one that
// asks, to programs that do not check whom they talk to. A last * stands for any ending. Names with an underscore, as
// _gateway, dnsmasq takes from nobody.
func takenNames() []string {
	return []string{
		"wpad", "isatap", // by which programs find their proxy and their router: Windows' DNS server keeps both from clients too
		"localhost*", "localdomain*", "loopback*", "broadcasthost", "ip6-*", // of /etc/hosts on Linux and macOS, hosts(5)
		"gateway", "router", "host", // this host, as guests see it
	}
}

// nameMatches are the patterns by which dnsmasq knows the names that a guest may not take, dnsmasq(8), dhcp-name-match.
// A pattern is compared with all that the client sends, which can have a domain behind it.
func nameMatches(kept []Name) []string {
	names := takenNames()
	for _, n := range kept {
		names = append(names, n.Name)
	}
	var patterns []string
	for _, name := range names {
		patterns = append(patterns, name)
		if !strings.HasSuffix(name, "*") {
			patterns = append(patterns, name+".*")
		}
	}
	return patterns
}

var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// checkNames refuses names that cannot be kept for a guest, and those of which two guests would have one, or one guest
// two.
func checkNames(names []Name) error {
	for i, n := range names {
		mac, err := net.ParseMAC(n.MAC)
		switch {
		case !hostName.MatchString(n.Name):
			err = fmt.Errorf("name %q: %w: must be of at most 63 lower-case letters, digits and '-'", n.Name, ErrRequest)
		case slices.ContainsFunc(takenNames(), func(taken string) bool { return matches(taken, n.Name) }):
			err = fmt.Errorf("name %q: %w: reserved: programs use this name for the host or for a service", n.Name, ErrRequest)
		case err != nil || len(mac) != 6 || mac[0]&1 != 0 || n.MAC != mac.String():
			err = fmt.Errorf("name %q: %w: %q must be the MAC of a NIC, as in 52:54:00:53:52:b1", n.Name, ErrRequest, n.MAC)
		case slices.ContainsFunc(names[:i], func(o Name) bool { return o.Name == n.Name || o.MAC == n.MAC }):
			err = fmt.Errorf("name %q: %w: it, or %s, is named twice", n.Name, ErrRequest, n.MAC)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// matches says whether a pattern of dnsmasq's is for a name.
func matches(pattern, name string) bool {
	begin, wild := strings.CutSuffix(pattern, "*")
	return pattern == name || wild && strings.HasPrefix(name, begin)
}

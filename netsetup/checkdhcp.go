package netsetup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// checkPorts reports the other ports of the bridge. A port to a LAN is right on a bridge to a LAN, and a mistake on a
// bridge that has a DHCP server of this host.
func checkPorts(_ context.Context, q CheckQuery, r *Report) Result {
	if r.Bridge.Name == "" {
		return skipped("no bridge")
	}
	r.Server = DHCPServer(q.Root, r.Bridge.Name)
	uplinks := strings.Join(r.Bridge.Uplinks, ", ")
	switch {
	case uplinks == "" && len(r.Bridge.Ports) == 0:
		return ok("none")
	case uplinks == "":
		return ok(strings.Join(r.Bridge.Ports, ", ") + ": none leads out of this host")
	case r.Server.Kind == "":
		return ok(uplinks + ": guests are on that network")
	}
	return warn(r.wrong(ErrUplink, uplinks))
}

func checkDHCP(_ context.Context, _ CheckQuery, r *Report) Result {
	s, uplinks := r.Server, strings.Join(r.Bridge.Uplinks, ", ")
	switch {
	case r.Bridge.Name == "":
		return skipped("no bridge")
	case s.Dead:
		return fail(&ServerError{r.failure(ErrDHCPDead, s.Evidence), r.target(), s})
	case s.Kind != "" && s.PID == 0:
		return ok(fmt.Sprintf("%s, by %s", s.Kind, s.Evidence))
	case s.Kind == ServerDnsmasq:
		return ok(s.Evidence)
	case s.Kind != "":
		return ok(fmt.Sprintf("%s: %s", s.Kind, s.Evidence))
	case uplinks != "":
		return ok("none of this host's: that of the network behind " + uplinks)
	}
	return warn(r.wrong(ErrNoDHCP, "guests get no address unless their own configuration has one"))
}

// checkLeases opens the lease file as `ip` does. A missing file is normal: the server creates it with the first lease.
func checkLeases(_ context.Context, q CheckQuery, r *Report) Result {
	path := r.Server.Leases
	if path == "" {
		return skipped("no lease file is known")
	}
	f, err := os.OpenFile(q.at(path), os.O_RDONLY|unix.O_NONBLOCK, 0)
	switch {
	case err == nil:
		f.Close()
		return ok(path)
	case errors.Is(err, fs.ErrNotExist):
		return ok(path + ": not there yet")
	}
	return warn(&ServerError{r.failure(ErrLeasesUnreadable, path), r.target(), r.Server})
}

// checkListeners is for a bridge without a known server: it looks for a process that listens on a server's ports on
// every address and so would keep a server from starting.
func checkListeners(_ context.Context, q CheckQuery, r *Report) Result {
	switch {
	case r.Bridge.Name == "":
		return skipped("no bridge")
	case r.Server.Kind != "" && !r.Server.Dead:
		return ok("the DHCP server runs")
	case len(r.Bridge.Uplinks) > 0:
		return skipped("no server of this host's is needed")
	}
	const dns, dhcp = 53, 67
	for _, p := range []struct {
		table string
		port  uint16
	}{{"udp", dhcp}, {"udp", dns}, {"udp6", dns}, {"tcp", dns}, {"tcp6", dns}} {
		if uid, taken := wildcard(string(readSome(q.at("/proc/net/"+p.table), 8<<20)), p.port); taken {
			what := fmt.Sprintf("%s port %d", strings.TrimSuffix(p.table, "6"), p.port)
			failure := Failure{What: what, Cause: ErrPortTaken, Detail: "by a process of user " + UserName(uid)}
			return warn(&PortTakenError{failure, int(p.port)})
		}
	}
	return ok("53 and 67 are free")
}

// wildcard looks in a table of sockets, proc_net(5), for one that is bound to a port on every address: a UDP socket
// without a peer, or a TCP socket that listens. Addresses are in hexadecimal, the port follows the colon.
func wildcard(table string, port uint16) (uid uint32, taken bool) {
	const unconnected, listening = "07", "0A"
	for line := range strings.Lines(table) {
		fields := strings.Fields(line) // sl local remote st tx:rx tr:when retrnsmt uid …
		if len(fields) < 8 || fields[3] != unconnected && fields[3] != listening {
			continue
		}
		address, hex, _ := strings.Cut(fields[1], ":")
		n, err := strconv.ParseUint(hex, 16, 16)
		if err != nil || uint16(n) != port || strings.Trim(address, "0") != "" {
			continue
		}
		id, _ := strconv.ParseUint(fields[7], 10, 32)
		return uint32(id), true
	}
	return 0, false
}

package lease

import (
	"bytes"
	"net"
	"strconv"
	"strings"
	"time"
)

// parseDnsmasq parses dnsmasq's lease file. Each line is a lease, `EXPIRY MAC IP HOSTNAME CLIENT-ID`, with the expiry
// in seconds since 1970, or 0 for never. A line `duid …` begins the DHCPv6 part, whose lines are `EXPIRY IAID IP
// HOSTNAME DUID`. The format is that of dnsmasq's src/lease.c (lease_update_file).
//
// dnsmasq truncates the file and writes it again at every change. The text after the last newline may be an
// incomplete line, in which a part of 192.168.122.62 can look like another address, so it is skipped.
func parseDnsmasq(data []byte) (parsed, error) {
	end := bytes.LastIndexByte(data, '\n') + 1
	p := parsed{incomplete: end < len(data)}
	v6 := false
	for line := range strings.Lines(string(data[:end])) {
		fields := strings.Fields(line)
		if len(fields) == 2 && fields[0] == "duid" {
			v6 = true
			continue
		}
		l, ok := parseDnsmasqLine(fields, v6)
		if !ok {
			p.skipped++
			continue
		}
		p.leases = append(p.leases, l)
	}
	return p, nil
}

func parseDnsmasqLine(fields []string, v6 bool) (lease, bool) {
	if len(fields) != 5 {
		return lease{}, false
	}
	seconds, err := strconv.ParseUint(fields[0], 10, 40) // 40 bits last until the year 36812
	if err != nil {
		return lease{}, false
	}
	ip, ok := parseIP(fields[2])
	if !ok || ip.Is6() != v6 {
		return lease{}, false
	}
	l := lease{ip: ip, hostname: hostname(fields[3]), issue: fields[0]}
	if seconds != 0 {
		l.expiry = time.Unix(int64(seconds), 0)
	}
	if v6 {
		l.mac = macOfDUID(fields[4])
		return l, true
	}
	l.mac, ok = parseMAC(fields[1])
	// For hardware other than Ethernet the type precedes the address: "20-00:11:22…" (src/lease.c).
	return l, ok || strings.Contains(fields[1], "-")
}

// macOfDUID returns the Ethernet address in a DHCPv6 client's identifier, if it has one: DUIDs of the types 1 (with a
// time) and 3 (without) end with it (RFC 8415, sections 11.2 and 11.4). DHCPv6 leases contain the MAC nowhere else.
func macOfDUID(s string) net.HardwareAddr {
	const ether = ":00:01:" // the hardware type
	switch {
	case strings.HasPrefix(s, "00:01"+ether) && len(s) == len("00:01:00:01:tt:tt:tt:tt:52:54:00:53:52:b1"):
	case strings.HasPrefix(s, "00:03"+ether) && len(s) == len("00:03:00:01:52:54:00:53:52:b1"):
	default:
		return nil
	}
	mac, _ := parseMAC(s[len(s)-len("52:54:00:53:52:b1"):])
	return mac
}

package lease

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// parseLibvirt parses the BRIDGE.status file that libvirt's lease script writes for dnsmasq: a JSON list of objects.
// The format is that of libvirt's src/util/virlease.c; "expiry-time" is in seconds since 1970 and missing if the
// lease never expires, "hostname" and "client-id" are missing if the guest sent none. DHCPv6 leases have the MAC too,
// if dnsmasq knew it. The file is empty while there are no leases, and is replaced by rename.
func parseLibvirt(data []byte) (parsed, error) {
	if len(data) == 0 {
		return parsed{}, nil
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(data, &entries); err != nil {
		return parsed{incomplete: true}, fmt.Errorf("not a JSON list: %w", err)
	}
	var p parsed
	for _, e := range entries {
		l, ok := parseLibvirtEntry(e)
		if !ok {
			p.skipped++
			continue
		}
		p.leases = append(p.leases, l)
	}
	return p, nil
}

func parseLibvirtEntry(data []byte) (lease, bool) {
	var e struct {
		IP       string `json:"ip-address"`
		MAC      string `json:"mac-address"`
		Hostname string `json:"hostname"`
		Expiry   uint32 `json:"expiry-time"` // valid until 2106; refuses nonsense
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return lease{}, false
	}
	ip, okIP := parseIP(e.IP)
	mac, okMAC := parseMAC(e.MAC)
	l := lease{mac: mac, ip: ip, hostname: hostname(e.Hostname), issue: strconv.FormatUint(uint64(e.Expiry), 10)}
	if e.Expiry != 0 {
		l.expiry = time.Unix(int64(e.Expiry), 0)
	}
	return l, okIP && okMAC
}

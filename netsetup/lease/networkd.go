package lease

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// networkdLease is a lease of systemd-networkd's DHCP server: src/libsystemd-network/sd-dhcp-server-lease.c. Byte
// strings are lists of numbers. HardwareAddress exists since systemd 257, and has 16 bytes of which
// HardwareAddressLength are used; before that only the client id can contain the MAC.
type networkdLease struct {
	ClientID         []uint8Number `json:"ClientId"`
	Address          []uint8Number
	Hostname         string
	HardwareType     int           `json:"HardwareAddressType"`
	HardwareLength   int           `json:"HardwareAddressLength"`
	HardwareAddress  []uint8Number `json:"HardwareAddress"`
	ExpiryBoot       uint64        `json:"ExpirationUSec"`         // on the clock CLOCK_BOOTTIME
	ExpiryRealMicros uint64        `json:"ExpirationRealtimeUSec"` // since 1970; math.MaxUint64 is "never"
}

// uint8Number is a byte that is a number in JSON; encoding/json would decode a []byte as base64.
type uint8Number uint8

// parseNetworkd parses systemd-networkd's lease file of an interface: since systemd 256 an object whose "Leases" is a
// list. It accepts a plain list too. networkd replaces the file by rename.
func parseNetworkd(data []byte) (parsed, error) {
	var file struct{ Leases []json.RawMessage }
	target := any(&file)
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		target = &file.Leases
	}
	if err := json.Unmarshal(data, target); err != nil {
		return parsed{incomplete: true}, fmt.Errorf("not networkd's JSON: %w", err)
	}
	var p parsed
	for _, e := range file.Leases {
		l, ok := parseNetworkdEntry(e)
		if !ok {
			p.skipped++
			continue
		}
		p.leases = append(p.leases, l)
	}
	return p, nil
}

func parseNetworkdEntry(data []byte) (lease, bool) {
	var e networkdLease
	if err := json.Unmarshal(data, &e); err != nil || len(e.Address) != 4 {
		return lease{}, false
	}
	ip, _ := netip.AddrFromSlice(byteString(e.Address))
	l := lease{mac: e.mac(), ip: ip, hostname: hostname(e.Hostname)}

	// networkd recomputes the wall-clock time at every write of the file, so it varies; this time does not.
	l.issue = strconv.FormatUint(e.ExpiryBoot, 10)
	if e.ExpiryBoot == 0 {
		l.issue = strconv.FormatUint(e.ExpiryRealMicros, 10)
	}
	const latest = 1 << 60 // in the year 38505: later times mean "never"
	if e.ExpiryRealMicros > 0 && e.ExpiryRealMicros < latest {
		l.expiry = time.UnixMicro(int64(e.ExpiryRealMicros))
	}
	return l, true
}

// mac returns the client's Ethernet address, or nil. A client id that begins with 1 contains it after that byte (RFC
// 2132, section 9.14).
func (e networkdLease) mac() net.HardwareAddr {
	const ether = 1
	switch {
	case e.HardwareType == ether && e.HardwareLength == 6 && len(e.HardwareAddress) >= 6:
		return byteString(e.HardwareAddress[:6])
	case len(e.HardwareAddress) == 0 && len(e.ClientID) == 7 && e.ClientID[0] == ether:
		return byteString(e.ClientID[1:])
	}
	return nil
}

func byteString(numbers []uint8Number) []byte {
	b := make([]byte, len(numbers))
	for i, n := range numbers {
		b[i] = byte(n)
	}
	return b
}

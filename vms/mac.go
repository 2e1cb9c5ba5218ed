package vms

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
)

// MAC is the hardware address of a NIC.
type MAC [6]byte

// ParseMAC parses six bytes in hex, separated by colons or dashes. It refuses addresses that no single card can have:
// group addresses (the lowest bit of the first byte, IEEE 802-2014 section 8.2) and all zeroes.
func ParseMAC(text string) (MAC, error) {
	hw, err := net.ParseMAC(text)
	if err != nil || len(text) != len("52:54:00:12:34:56") {
		return MAC{}, errors.New(`must be six bytes in hex, such as "52:54:00:12:34:56"`)
	}
	mac := MAC(hw)
	switch {
	case mac == MAC{}:
		return MAC{}, errors.New("must not be all zeroes")
	case mac[0]&1 != 0:
		return MAC{}, fmt.Errorf("must be the address of one card, and %02x at the start makes it a group's", mac[0])
	}
	return mac, nil
}

// StableMAC returns the MAC of a NIC that has none in its file. It is the same at every start, and differs between
// hosts, users, VMs and NICs. dnsmasq chooses the guest's address by the MAC, so the address stays the same, too.
//
// The MAC is 52:54:00, the prefix that QEMU uses, followed by the first three bytes of the SHA-256 of these five
// lines, joined by newlines, without a newline at the end:
//
//	qlaunch mac
//	MACHINE-ID    the host's, as in /etc/machine-id
//	UID           in decimal
//	NAME          the VM's
//	INDEX         the NIC's place in the file, from 0, in decimal
//
// machine-id(5) requires that the id is never exposed on a network; three bytes of a hash do not reveal it.
func StableMAC(machineID string, uid int, name string, index int) MAC {
	sum := sha256.Sum256(fmt.Appendf(nil, "qlaunch mac\n%s\n%d\n%s\n%d", machineID, uid, name, index))
	return MAC{0x52, 0x54, 0x00, sum[0], sum[1], sum[2]}
}

// String returns the MAC in lower case with colons.
func (m MAC) String() string { return m.HardwareAddr().String() }

// HardwareAddr returns the MAC as a type of package net.
func (m MAC) HardwareAddr() net.HardwareAddr { return m[:] }

// UnmarshalText implements encoding.TextUnmarshaler with [ParseMAC].
func (m *MAC) UnmarshalText(text []byte) error {
	mac, err := ParseMAC(string(text))
	if err != nil {
		return err
	}
	*m = mac
	return nil
}

// MarshalText implements encoding.TextMarshaler. An unset MAC is the empty text.
func (m MAC) MarshalText() ([]byte, error) {
	if m == (MAC{}) {
		return nil, nil
	}
	return []byte(m.String()), nil
}

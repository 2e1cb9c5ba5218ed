package vms

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Forward is a TCP port of the host that is forwarded to a port of the guest, by a NIC of type user.
type Forward struct {
	Host  netip.AddrPort // IPv4
	Guest uint16
}

// ParseForward parses "HOST-ADDRESS:HOST-PORT:GUEST-PORT", or the two ports alone, which means the address 127.0.0.1.
// The address must be IPv4, since QEMU's hostfwd accepts no other ("Bad host address", measured with 7.2).
func ParseForward(text string) (Forward, error) {
	host, guest, _ := cutLast(text, ":")
	address, port, full := cutLast(host, ":")
	if !full {
		address = "127.0.0.1"
	}
	addr, err := netip.ParseAddr(address)
	from, fromErr := parsePort(port)
	to, toErr := parsePort(guest)
	switch {
	case strings.ContainsAny(text, "[]") || err == nil && !addr.Is4():
		return Forward{}, errors.New("must be an IPv4 address, the only kind that QEMU forwards")
	case err != nil || fromErr != nil || toErr != nil:
		return Forward{}, errors.New(`must be "HOST-PORT:GUEST-PORT" or "ADDRESS:HOST-PORT:GUEST-PORT", ports from 1 to 65535`)
	}
	return Forward{Host: netip.AddrPortFrom(addr, from), Guest: to}, nil
}

// cutLast cuts text at the last separator; without one, after is the whole text.
func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return "", text, false
	}
	return text[:i], text[i+len(separator):], true
}

// parsePort parses a port from 1 to 65535 in plain digits.
func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || text[0] == '0' {
		return 0, fmt.Errorf("%q: must be 1 to 65535", text)
	}
	return uint16(n), nil
}

// String returns the forward in the form that ParseForward accepts.
func (f Forward) String() string { return fmt.Sprintf("%s:%d", f.Host, f.Guest) }

// UnmarshalText implements encoding.TextUnmarshaler with [ParseForward].
func (f *Forward) UnmarshalText(text []byte) error {
	forward, err := ParseForward(string(text))
	if err != nil {
		return err
	}
	*f = forward
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (f Forward) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

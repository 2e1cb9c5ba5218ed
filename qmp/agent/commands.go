package agent

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
)

// Interface is a network interface of the guest, as the agent reports it.
type Interface struct {
	MAC       net.HardwareAddr
	Addresses []netip.Addr // the valid ones; nothing but the guest confirms them
}

// Interfaces returns the guest's network interfaces that have an Ethernet address (guest-network-get-interfaces).
func (c *Client) Interfaces(ctx context.Context) ([]Interface, error) {
	reply, err := c.run(ctx, "guest-network-get-interfaces", nil, maxReply)
	if err != nil {
		return nil, err
	}
	return parseInterfaces(reply)
}

// parseInterfaces skips interfaces without an Ethernet address, and addresses that are no IP addresses.
func parseInterfaces(reply json.RawMessage) ([]Interface, error) {
	var report []struct {
		MAC       string `json:"hardware-address"`
		Addresses []struct {
			IP string `json:"ip-address"`
		} `json:"ip-addresses"`
	}
	if err := parseReturn(reply, &report); err != nil {
		return nil, err
	}
	var interfaces []Interface
	for _, t := range report {
		mac, err := net.ParseMAC(t.MAC)
		if err != nil || len(mac) != 6 {
			continue
		}
		i := Interface{MAC: mac}
		for _, a := range t.Addresses {
			if ip, err := netip.ParseAddr(a.IP); err == nil && ip.Zone() == "" {
				i.Addresses = append(i.Addresses, ip.Unmap())
			}
		}
		interfaces = append(interfaces, i)
	}
	return interfaces, nil
}

// Shutdown asks the guest to power off (guest-shutdown). The agent replies only if it cannot, so nil means that it
// reported no error before ctx ended, or that the channel was closed.
func (c *Client) Shutdown(ctx context.Context) error {
	_, err := c.run(ctx, "guest-shutdown", map[string]string{"mode": "powerdown"}, maxReply)
	if errors.Is(err, ErrSilent) || errors.Is(err, ErrEnded) {
		return nil
	}
	return err
}

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
)

// Interface is a network interface of the guest, as the guest tells it.
type Interface struct {
	MAC       net.HardwareAddr
	Addresses []netip.Addr // those that are addresses; nobody else has confirmed them
}

// Interfaces asks for the guest's network interfaces (guest-network-get-interfaces): those with an Ethernet address.
func (c *Client) Interfaces(ctx context.Context) ([]Interface, error) {
	answer, err := c.run(ctx, "guest-network-get-interfaces", nil, mostAnswer)
	if err != nil {
		return nil, err
	}
	return parseInterfaces(answer)
}

// parseInterfaces leaves out what is no Ethernet address, and no IP address.
func parseInterfaces(answer json.RawMessage) ([]Interface, error) {
	var told []struct {
		MAC       string `json:"hardware-address"`
		Addresses []struct {
			IP string `json:"ip-address"`
		} `json:"ip-addresses"`
	}
	if err := parseReturn(answer, &told); err != nil {
		return nil, err
	}
	var interfaces []Interface
	for _, t := range told {
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

// Shutdown tells the guest to power itself off (guest-shutdown). An agent
// answers only when it cannot: nil means that until the end of ctx it has not
// said so, or that the channel has ended.
func (c *Client) Shutdown(ctx context.Context) error {
	_, err := c.run(ctx, "guest-shutdown", map[string]string{"mode": "powerdown"}, mostAnswer)
	if errors.Is(err, ErrSilent) || errors.Is(err, ErrEnded) {
		return nil
	}
	return err
}

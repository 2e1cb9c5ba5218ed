package launcher

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"

	"github.com/qlaunch/qlaunch/netsetup"
)

// BridgeInfo describes a bridge of the host. Its JSON format is stable.
type BridgeInfo struct {
	Name      string         `json:"name"`
	Up        bool           `json:"up"`
	Addresses []netip.Prefix `json:"addresses"`
	Ports     []string       `json:"ports"`
	Allowed   bool           `json:"allowed"`         // the bridge helper allows this user to use it
	Rule      string         `json:"rule,omitzero"`   // the line that allows it
	Reason    string         `json:"reason,omitzero"` // why it is not allowed
	DHCP      *DHCPInfo      `json:"dhcp,omitzero"`   // nil: no program on this host serves DHCP on it
	STP       STPInfo        `json:"stp"`
}

// STPInfo is the state of the spanning tree protocol on a bridge.
type STPInfo struct {
	On           bool    `json:"on"`
	ForwardDelay float64 `json:"forward_delay_seconds,omitzero"` // in seconds
}

// DHCPInfo is a program on this host that serves DHCP on a bridge.
type DHCPInfo struct {
	Kind     string `json:"kind"`     // "libvirt", "dnsmasq", "networkd" …
	Evidence string `json:"evidence"` // the file or process that shows it
	PID      int    `json:"pid,omitzero"`
	Dead     bool   `json:"dead"` // it is configured but does not run
	Leases   string `json:"leases,omitzero"`
}

// Bridges returns the host's bridges, and whether this user's VMs may use them.
func Bridges(e *Env) ([]BridgeInfo, error) {
	bridges, err := netsetup.Bridges()
	if err != nil {
		return nil, err
	}
	all := make([]BridgeInfo, len(bridges))
	for i, b := range bridges {
		all[i] = bridgeInfo(e.Root, b)
	}
	return all, nil
}

func bridgeInfo(root string, b netsetup.Bridge) BridgeInfo {
	info := BridgeInfo{Name: b.Name, Up: b.Up, Addresses: []netip.Prefix{}, Ports: append([]string{}, b.Ports...),
		STP: STPInfo{b.STP.On, b.STP.ForwardDelay.Seconds()}}
	for _, a := range b.Addrs {
		if !a.Addr().IsLinkLocalUnicast() {
			info.Addresses = append(info.Addresses, a)
		}
	}
	allowed, err := netsetup.Allowed(netsetup.DefaultACL, b.Name)
	if err = cmp.Or(err, allowed.Err()); err == nil {
		info.Allowed, info.Rule = true, fmt.Sprintf("%s:%d: %s", allowed.File, allowed.Line, allowed.Rule)
	} else {
		info.Reason = whyNotAllowed(err)
	}
	if server := netsetup.DHCPServer(root, b.Name); server.Kind != "" {
		info.DHCP = &DHCPInfo{server.Kind, server.Evidence, server.PID, server.Dead, server.Leases}
	}
	return info
}

// whyNotAllowed returns the text of an ACL error without the bridge's name.
func whyNotAllowed(err error) string {
	denied, ok := errors.AsType[*netsetup.ACLError](err)
	switch {
	case !ok:
		return err.Error()
	case errors.Is(err, netsetup.ErrDenied):
		return denied.Detail
	}
	return fmt.Sprintf("%v: %s", denied.Cause, denied.Detail)
}

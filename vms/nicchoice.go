package vms

import (
	"fmt"
	"slices"
	"strconv"
)

// NICChoice is the NIC by which a guest is reached: AnyNIC, or the place of one in the file, counted from 0 as
// [NIC.Index] is. A bridged NIC leads to the guest's address, one of type user to the host's end of its forward to the ssh port.
type NICChoice string

// AnyNIC stands for the first bridged NIC that has an address.
const AnyNIC NICChoice = "any"

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *NICChoice) UnmarshalText(text []byte) error {
	if NICChoice(text) == AnyNIC {
		*c = AnyNIC
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 8)
	if err != nil || n >= mostNICs {
		return fmt.Errorf(`must be "any", or the number of a NIC: 0 for the first, at most %d`, mostNICs-1)
	}
	*c = NICChoice(strconv.FormatUint(n, 10))
	return nil
}

// Takes says whether the choice falls on a NIC, or leaves it open.
func (c NICChoice) Takes(nic NIC) bool { return c == AnyNIC || string(c) == strconv.Itoa(nic.Index) }

// checkSSHNIC refuses a choice of a NIC that has no address on a bridge, and no forward to the guest's ssh port.
func (d *decoder) checkSSHNIC(ssh SSH, nics []NIC) {
	i, err := strconv.Atoi(string(ssh.NIC))
	leads := func(f Forward) bool { return f.Guest == ssh.Port }
	switch {
	case err != nil || d.bad["ssh.nic"]: // any, or refused already
	case i >= len(nics):
		d.fail("ssh.nic", "ssh.nic = %d: there is no such NIC, the first is 0", i)
	case nics[i].Type == NICUser && slices.ContainsFunc(nics[i].Forwards, leads):
	case nics[i].Type != NICBridge && !d.bad[at("nic", i)+".type"]:
		d.fail("ssh.nic", `ssh.nic = %d: that NIC is of type %q, and must be of type "bridge", or have a forward to port %d`, i, nics[i].Type, ssh.Port)
	}
}

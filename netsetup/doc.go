// Package netsetup is the host's side of a guest's network: bridges, QEMU's bridge helper with its ACL, and taps.
//
// An ordinary user gets a tap on a bridge from qemu-bridge-helper, a small setuid program of QEMU. [OpenTap] runs it
// and receives the tap as an open file; the tap exists as long as a process has that file open. [Check] checks
// everything that the helper needs before anything is started, since the helper's messages say little: the same
// "Operation not permitted" has four causes.
//
// The helper drops its privileges to the calling user, with CAP_NET_ADMIN only, before it reads its ACL and opens
// /dev/net/tun. So that user must be able to open both, and the helper can read what this process can read.
//
// All information about links comes from the kernel over netlink, which works in network namespaces; /sys/class/net
// may show another namespace. Nothing here prints, needs root, or leaves anything on the host except a tap while its
// file is open.
package netsetup

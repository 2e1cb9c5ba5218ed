// Package netsetup is the host's side of a guest's network: bridges, QEMU's bridge helper with its ACL, and taps.
//
// An ordinary user gets a tap on a bridge from qemu-bridge-helper, a small setuid program that QEMU ships.
// [OpenTap] runs it and receives the tap as an open file; the tap lives as long as that file is open somewhere.
// [Check] looks at all that the helper needs before anything is started, because the helper's own words are few:
// one and the same "Operation not permitted" has four causes.
//
// The surprising fact: the helper drops to the calling user, with CAP_NET_ADMIN alone, before it reads its ACL and
// opens /dev/net/tun. Both must be open to that user; what we may read ourselves is what the helper may read.
//
// Everything asks the kernel over netlink, and so works inside network namespaces, where /sys/class/net tells of
// another one. Nothing here prints, needs root, or leaves anything on the host but a tap as long as its file is open.
package netsetup

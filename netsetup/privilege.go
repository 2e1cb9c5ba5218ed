package netsetup

import (
	"encoding/binary"
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// helperUsable returns the reason why the helper could not make a tap for this user, without running it: one of the
// four causes of its message "failed to create tun device: Operation not permitted", or that it cannot be executed. The
// cause is nil if no reason is found. The evidence is what was seen.
func helperUsable(path string) (evidence string, cause error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err.Error(), ErrHelperForbidden
	}
	if err := unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS); err != nil {
		return describeMode(st), ErrHelperForbidden
	}
	self := readSelf()
	switch {
	case self.foreignNet:
		return "the network namespace belongs to another user namespace", ErrUserNamespace
	case self.keepsNetAdmin:
		return "this process passes CAP_NET_ADMIN on", nil // root of the host or of its own user namespace: needs no setuid
	}
	setuid, caps := st.Mode&unix.S_ISUID != 0, hasFileCaps(path)
	switch {
	case setuid && st.Uid != 0 && self.userNS && !caps: // the owner is a root that is not mapped in this namespace
		return "its owner does not exist in this user namespace", ErrUserNamespace
	case (!setuid || st.Uid != 0) && !caps:
		return describeMode(st), ErrHelperNotSetuid
	case self.noNewPrivs:
		return "NoNewPrivs: 1 in /proc/self/status", ErrNoNewPrivs
	case nosuidMount(path):
		return describeMode(st), ErrNosuidMount
	case caps:
		return "CAP_NET_ADMIN as a file capability", nil
	}
	return describeMode(st), nil
}

// A self is what decides about the privileges of this process's children.
type self struct {
	noNewPrivs    bool
	userNS        bool // not in the host's user namespace
	foreignNet    bool // another user namespace owns the network namespace: no capability of ours applies to it
	keepsNetAdmin bool // programs that we execute have CAP_NET_ADMIN without setuid
}

func readSelf() self {
	status := readStatus()
	const netAdmin = 1 << unix.CAP_NET_ADMIN
	root := os.Geteuid() == 0 && status.bits("CapEff")&status.bits("CapBnd")&netAdmin != 0
	return self{
		noNewPrivs:    status["NoNewPrivs"] == "1",
		userNS:        inUserNamespace(),
		foreignNet:    foreignNetwork(),
		keepsNetAdmin: root || status.bits("CapAmb")&netAdmin != 0,
	}
}

// A procStatus is /proc/self/status, proc_pid_status(5).
type procStatus map[string]string

func readStatus() procStatus {
	s := procStatus{}
	data, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return s // without /proc nothing is known; the helper's message will have the cause
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			s[key] = strings.TrimSpace(value)
		}
	}
	return s
}

// bits returns a capability set, empty if the status lacks it.
func (s procStatus) bits(key string) uint64 {
	n, err := strconv.ParseUint(s[key], 16, 64)
	if err != nil {
		return 0
	}
	return n
}

// inUserNamespace reads the map of user IDs. In the initial namespace it maps all 2³²−1 user IDs to themselves:
// user_namespaces(7).
func inUserNamespace() bool {
	data, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	return strings.Join(strings.Fields(string(data)), " ") != "0 0 4294967295"
}

// foreignNetwork queries which user namespace owns our network namespace. EPERM means one outside of our own,
// ioctl_ns(2): then no capability that a child could gain applies to the network's links.
func foreignNetwork() bool {
	f, err := os.Open("/proc/self/ns/net")
	if err != nil {
		return false
	}
	defer f.Close()
	fd, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_USERNS)
	if err != nil {
		return errors.Is(err, unix.EPERM)
	}
	_ = unix.Close(fd)
	return false
}

// hasFileCaps reports whether the file's security.capability attribute gives CAP_NET_ADMIN when the file is executed.
// The effective bit must be set, since the helper raises no capability itself. The layout is struct vfs_cap_data,
// linux/capability.h: le32 revision and flags, then permitted and inheritable, 32 bits each.
func hasFileCaps(path string) bool {
	var buf [24]byte
	n, err := unix.Getxattr(path, "security.capability", buf[:])
	if err != nil || n < 12 {
		return false
	}
	magic, permitted := binary.LittleEndian.Uint32(buf[0:]), binary.LittleEndian.Uint32(buf[4:])
	const effective = 1 // VFS_CAP_FLAGS_EFFECTIVE
	return magic&effective != 0 && permitted&(1<<unix.CAP_NET_ADMIN) != 0
}

func nosuidMount(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_NOSUID != 0
}

package netsetup

import (
	"encoding/binary"
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// helperUsable says why the helper could not make a tap for this user, by looking, without running it:
// the four causes of its one text "failed to create tun device: Operation not permitted", and a fifth, that it cannot
// be executed at all. Nil means that nothing speaks against it. The evidence says what it stands on.
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
		return "this process passes CAP_NET_ADMIN on", nil // root, of the host or of an own user namespace: needs no setuid
	}
	setuid, caps := st.Mode&unix.S_ISUID != 0, hasFileCaps(path)
	switch {
	case setuid && st.Uid != 0 && self.userNS && !caps: // root's file, but that root is not mapped in here
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

// A self is what this process is, as far as a child's privileges go.
type self struct {
	noNewPrivs    bool
	userNS        bool // in another user namespace than the host's
	foreignNet    bool // the network namespace is owned outside of our user namespace: no capability reaches it
	keepsNetAdmin bool // a program that we execute has CAP_NET_ADMIN without being setuid
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
		return s // without /proc we know nothing; the helper's own words will tell
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			s[key] = strings.TrimSpace(value)
		}
	}
	return s
}

// bits is a capability set; an absent one is empty.
func (s procStatus) bits(key string) uint64 {
	n, err := strconv.ParseUint(s[key], 16, 64)
	if err != nil {
		return 0
	}
	return n
}

// inUserNamespace reads the uid map: the initial one maps all of 2³²−1 uids onto themselves, user_namespaces(7).
func inUserNamespace() bool {
	data, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	return strings.Join(strings.Fields(string(data)), " ") != "0 0 4294967295"
}

// foreignNetwork asks the kernel who owns our network namespace. EPERM means a user namespace outside of our own,
// ioctl_ns(2): then no capability that a child of ours could gain reaches the network's links.
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

// hasFileCaps says whether executing the file gives CAP_NET_ADMIN by its security.capability attribute. The effective
// bit must be set, since the helper raises nothing itself. The layout is struct vfs_cap_data, linux/capability.h:
// le32 revision and flags, then permitted and inheritable, 32 bits each.
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

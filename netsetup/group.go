package netsetup

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// accessTo returns which group may use a file that this user may not, and whether the user was added to that group
// after this session began.
func accessTo(path string) Access {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return Access{} // its directory may not be searched either
	}
	return Access{GroupName(st.Gid), joinedLater(st.Gid)}
}

// inGroup reports whether this process is in the group.
func inGroup(gid uint32) bool {
	has, err := os.Getgroups()
	return err == nil && slices.Contains(append(has, os.Getegid()), int(gid))
}

// joinedLater reports whether the user database has this process's user in a group that the process lacks: a login sets
// the groups, and a lingering user manager keeps those of its own start.
func joinedLater(gid uint32) bool {
	if inGroup(gid) {
		return false
	}
	u, err := user.Current()
	if err != nil {
		return false
	}
	ids, err := u.GroupIds()
	return err == nil && slices.Contains(ids, strconv.FormatUint(uint64(gid), 10))
}

// describeMode returns owner, group and mode as ls and chmod write them: "root:kvm 4750".
func describeMode(st unix.Stat_t) string {
	return fmt.Sprintf("%s:%s %04o", UserName(st.Uid), GroupName(st.Gid), st.Mode&0o7777)
}

// UserName returns the name of a user, or the number if the user has no name.
func UserName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

// GroupName returns the name of a group, or the number if the group has no name.
func GroupName(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

package netsetup

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// accessTo says which group may use a file that this user may not, and whether the user is in that group by now, and
// only this session began before.
func accessTo(path string) Access {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return Access{} // in a directory that is closed itself
	}
	return Access{GroupName(st.Gid), joinedLater(st.Gid)}
}

// inGroup says whether this process is.
func inGroup(gid uint32) bool {
	has, err := os.Getgroups()
	return err == nil && slices.Contains(append(has, os.Getegid()), int(gid))
}

// joinedLater says whether the user database has this process's user in a group that the process itself does not have:
// groups are given at login, and a lingering user manager keeps those of its own start.
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

// describeMode is owner and mode as ls and chmod write them: "root:kvm 4750".
func describeMode(st unix.Stat_t) string {
	return fmt.Sprintf("%s:%s %04o", UserName(st.Uid), GroupName(st.Gid), st.Mode&0o7777)
}

// UserName is the name of a user; the number, where there is none.
func UserName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

// GroupName is the name of a group; the number, where there is none.
func GroupName(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

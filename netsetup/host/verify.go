package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/netsetup"
)

// nobody is the uid that owns nothing, on every Linux.
const nobody = 65534

// Verify has the bridge helper make a tap on a bridge for somebody who is in the groups that it takes and nothing else:
// ACL, helper, device and bridge in one. It returns those groups beside [Group]: an administrator can have given the
// helper, or its ACL, to another. The error is as from [netsetup.OpenTap].
func Verify(ctx context.Context, bridge string) (others []string, err error) {
	helper, err := netsetup.FindHelper("")
	if err != nil {
		return nil, err
	}
	g, err := user.LookupGroup(Group)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(g.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("group %s: %w", Group, err)
	}
	groups := []uint32{uint32(gid)}
	for path, bit := range map[string]uint32{helper: 0o001, netsetup.DefaultACL: 0o004, aclInclude: 0o004} {
		id, closed, err := closedTo(path, bit)
		if err != nil {
			return nil, err
		}
		if closed && id != 0 && !slices.Contains(groups, id) { // root's group is nobody's to join
			groups = append(groups, id)
		}
	}
	slices.Sort(groups[1:])
	for _, id := range groups[1:] {
		others = append(others, netsetup.GroupName(id))
	}
	return others, netsetup.TryTap(ctx, helper, bridge, nobody, groups)
}

// closedTo is the group of a file, and whether others lack a bit of its mode. One that is not there is closed to
// nobody.
func closedTo(path string, bit uint32) (gid uint32, closed bool, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return 0, false, nil
		}
		return 0, false, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Gid, st.Mode&bit == 0, nil
}

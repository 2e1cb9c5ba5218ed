package host

import (
	"context"
	"fmt"
	"os/user"
	"strconv"

	"github.com/qlaunch/qlaunch/netsetup"
)

// nobody is the uid that owns nothing, on every Linux.
const nobody = 65534

// Prove has the bridge helper make a tap on a bridge for somebody who is in the group and nothing else: ACL, helper,
// device and bridge in one. The error is as from [netsetup.OpenTap].
func Prove(ctx context.Context, bridge string) error {
	helper, err := netsetup.FindHelper("")
	if err != nil {
		return err
	}
	g, err := user.LookupGroup(netsetup.Group)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(g.Gid, 10, 32)
	if err != nil {
		return fmt.Errorf("group %s: %w", netsetup.Group, err)
	}
	return netsetup.TryTap(ctx, helper, bridge, nobody, uint32(gid))
}

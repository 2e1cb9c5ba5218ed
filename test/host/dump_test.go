//go:build host

package host_test

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/qlaunch/qlaunch/test/host"
)

// look is what tells why a script failed, as root of the host sees it.
const look = `
section() { printf '\n----- %s\n' "$*"; }
show() { section "$*"; timeout 20 "$@" 2>&1; }
show systemctl --no-pager --full list-jobs
show systemctl --no-pager --full --all --state=failed,activating,deactivating,auto-restart list-units
show systemctl --no-pager --full status 'qlaunch*' nftables.service
for user in /run/user/*; do
	show runuser -u "$(id -un "${user##*/}")" -- env XDG_RUNTIME_DIR="$user" systemctl --user --no-pager --full status
done
show loginctl --no-pager list-sessions
show ip -d address
show ip route
show ip neighbour
show bridge fdb
show nft list ruleset
show iptables-save
show ps -eo pid,ppid,user,cgroup,args --forest
for file in /etc/qemu/bridge.conf /etc/qemu/bridge.conf.d/* /etc/qlaunch/* /etc/sysctl.d/*qlaunch* \
	/var/lib/qlaunch/* /home/*/.config/qlaunch/vms/* /home/*/.local/state/qlaunch/*/*; do
	[ ! -f "$file" ] || { section "$file"; tail -c 20000 "$file"; }
done
show journalctl --no-pager --boot=all --output=short-precise --lines=400
`

// dump shows all that is left of a script that failed.
func dump(t *testing.T, h *host.Host) {
	// The test's own context may be what has ended it.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	argv := h.Enter("sh", "-c", look)
	text, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	t.Logf("%v\n%s\n%v", h.Console(), text, err)
}

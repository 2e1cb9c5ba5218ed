package launcher

import (
	"context"
)

// SSHConfig returns an entry for ssh_config(5) with which ssh, scp, sftp and all programs that use them know a VM, by
// its name and by qlaunch-NAME.
func SSHConfig(ctx context.Context, e *Env, name string) (string, error) {
	vm, err := Load(e, name)
	if err != nil {
		return "", err
	}
	return sshEntry(ctx, e, vm, vm.Name, sshHost(vm))
}

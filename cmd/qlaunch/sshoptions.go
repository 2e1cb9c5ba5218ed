package main

import (
	"path/filepath"
	"strings"

	"github.com/qlaunch/qlaunch/vms"
)

// sshOption is a keyword of ssh_config(5) and its value.
type sshOption struct{ key, value string }

// sshOptions is how ssh, and all that works through ssh, is to talk to a VM.
// The host key is kept under the VM's name, in a file of the VM's own: an
// address that goes to another VM later, or a VM that is made anew, alarms nobody, and a wrong key is refused.
func sshOptions(vm vms.VM) []sshOption {
	options := []sshOption{
		{"HostKeyAlias", "qlaunch-" + vm.Name},
		{"UserKnownHostsFile", sshPath(filepath.Join(vm.DataDir, "known_hosts"))},
		{"GlobalKnownHostsFile", "/dev/null"},
		{"StrictHostKeyChecking", "accept-new"},
		{"CheckHostIP", "no"},
		{"HashKnownHosts", "no"}, // there is one name in the file, and no secret
		{"ForwardAgent", "no"},
		{"PermitLocalCommand", "no"},
	}
	if vm.SSH.Identity != "" {
		options = append(options, sshOption{"IdentitiesOnly", "yes"}, sshOption{"IdentityFile", sshPath(vm.SSH.Identity)})
	}
	if vm.SSH.User != "" {
		options = append(options, sshOption{"User", vm.SSH.User})
	}
	return options
}

// optionWords is options as ssh and scp take them on their command lines.
func optionWords(options []sshOption) []string {
	var words []string
	for _, o := range options {
		words = append(words, "-o", o.key+"="+o.value)
	}
	return words
}

// sshPath writes a path as a value of ssh_config(5): quoted, its quotes and
// backslashes escaped (argv_split in OpenSSH's misc.c), and with no token to expand.
func sshPath(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`).Replace(path) + `"`
}

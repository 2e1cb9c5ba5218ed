package launcher

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"

	"al.essio.dev/pkg/shellescape"

	"github.com/qlaunch/qlaunch/vms"
)

// sshOption is a keyword of ssh_config(5) with its value.
type sshOption struct{ key, value string }

// sshOptions returns the options with which ssh, and every program that uses ssh, connects to a VM. Each overrides
// what the user's own configuration sets for all hosts, since the first value counts (ssh_config(5)): where to
// connect, as which user, with which host key, what runs in the guest, and what of the host is forwarded to the
// guest. Agents, keys, certificates, algorithms, environment and log level are left to the user. The flags of ssh
// (-A, -X, -t, -N, -l, -p) override these options in turn.
//
// The host key is stored under the VM's name, in a file for this VM. So an address that another VM gets later, or a
// VM that is created again, causes no warning, and a wrong key is refused.
func sshOptions(ctx context.Context, e *Env, vm vms.VM) ([]sshOption, error) {
	known, err := sshPath(filepath.Join(vm.DataDir, "known_hosts"))
	if err != nil {
		return nil, err
	}
	options := []sshOption{
		{"HostName", sshHost(vm)},
		{"HostKeyAlias", sshHost(vm)},
		{"UserKnownHostsFile", known},
		{"GlobalKnownHostsFile", "/dev/null"},
		{"KnownHostsCommand", "none"},
		{"StrictHostKeyChecking", "accept-new"},
		{"VerifyHostKeyDNS", "no"},
		{"NoHostAuthenticationForLocalhost", "no"},
		{"UpdateHostKeys", "no"},
		{"CheckHostIP", "no"},
		{"HashKnownHosts", "no"}, // the file has only one name, which is not secret
		{"CanonicalizeHostname", "no"},
		{"RemoteCommand", "none"},
		{"RequestTTY", "auto"},
		{"SessionType", "default"},
		{"StdinNull", "no"},
		{"ForkAfterAuthentication", "no"},
		{"ForwardAgent", "no"},
		{"ForwardX11", "no"},
		{"Tunnel", "no"},
		{"PermitLocalCommand", "no"},
	}
	if vm.SSH.Identity != "" {
		identity, err := sshPath(vm.SSH.Identity)
		if err != nil {
			return nil, err
		}
		options = append(options, sshOption{"PubkeyAuthentication", "yes"},
			sshOption{"PreferredAuthentications", "publickey,keyboard-interactive,password"},
			sshOption{"IdentitiesOnly", "yes"}, sshOption{"IdentityFile", identity})
	}
	if user := sshUser(ctx, e, vm); user != "" {
		options = append(options, sshOption{"User", user})
	}
	return append(options, sshOption{"Port", fmt.Sprint(vm.SSH.Port)}), nil
}

// ownSession returns options for an ssh or scp that qlaunch runs itself. The user cannot pass flags to it, so
// forwards and shared connections in the user's configuration are meant for other hosts.
func ownSession() []sshOption {
	return []sshOption{{"ClearAllForwardings", "yes"}, {"ControlMaster", "no"}, {"ControlPath", "none"}}
}

// sshHost returns the name under which ssh and its known_hosts file know a VM.
func sshHost(vm vms.VM) string { return "qlaunch-" + vm.Name }

// sshUser returns the user that ssh logs in as: the one in the definition, else the caller, as in ssh. It is "" if
// the system does not know the caller; ssh then fails.
func sshUser(ctx context.Context, e *Env, vm vms.VM) string {
	if vm.SSH.User != "" {
		return vm.SSH.User
	}
	who, err := findAccount(ctx, e.Store.UID)
	if err != nil {
		return ""
	}
	return who.Username
}

// proxyOptions returns the options with which ssh connects through `qlaunch proxy` with the given arguments, which
// copies the data or passes the connection to ssh. ssh then ignores other options about the connection: BindAddress,
// AddressFamily, ProxyJump.
func proxyOptions(e *Env, pass bool, args ...string) ([]sshOption, error) {
	if e.Executable == "" {
		return nil, errors.New("the path of this program is not known")
	}
	argv := append([]string{e.Executable, "proxy"}, args...)
	for _, word := range argv {
		if strings.ContainsFunc(word, unicode.IsControl) {
			return nil, fmt.Errorf("%q: holds a control character, which ssh's configuration cannot", word)
		}
	}
	how := "no"
	if pass {
		how = "yes"
	}
	// ssh expands tokens in it, and runs it in a shell.
	command := strings.ReplaceAll(shellescape.QuoteCommand(argv), "%", "%%")
	return []sshOption{{"ProxyCommand", command}, {"ProxyUseFdpass", how}}, nil
}

// optionWords returns options as arguments of ssh or scp.
func optionWords(options []sshOption) []string {
	var words []string
	for _, o := range options {
		words = append(words, "-o", o.key+"="+o.value)
	}
	return words
}

// sshPath quotes a path as a value of ssh_config(5), with its quotes and backslashes escaped (argv_split in OpenSSH's
// misc.c), and without tokens to expand. ${…} cannot be quoted: ssh always replaces it by a variable of its
// environment (vdollar_percent_expand in the same file).
func sshPath(path string) (string, error) {
	switch {
	case strings.Contains(path, "${"):
		return "", fmt.Errorf("%s: ssh would replace ${…} in it by a variable", path)
	case strings.ContainsFunc(path, unicode.IsControl):
		return "", fmt.Errorf("%q: holds a control character, which ssh's configuration cannot", path)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`).Replace(path) + `"`, nil
}

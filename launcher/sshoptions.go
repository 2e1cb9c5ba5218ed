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

// sshOption is a keyword of ssh_config(5) and its value.
type sshOption struct{ key, value string }

// sshOptions gives the options by which ssh, and every program that uses ssh, talks to a VM. Each of them overrides
// what the user's own configuration sets for all hosts, since the first value counts (ssh_config(5)): where a
// connection goes, as whom, with which host key, what runs in the guest, and what the guest gets of the host's.
// Agents, keys, certificates, algorithms, environment and log level are left to the user. The flags of ssh (-A, -X,
// -t, -N, -l, -p) override these options in turn.
//
// The host key is kept under the VM's name, in a file of the VM's own: an address that another VM gets later, or a VM
// that is made again, raises no alarm, and a wrong key is refused.
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
		{"HashKnownHosts", "no"}, // the file has one name, which is no secret
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

// ownSession gives the options of an ssh or scp that qlaunch runs itself. The user can give it no flags, so a forward
// or a shared connection that the configuration asks for is meant for other hosts.
func ownSession() []sshOption {
	return []sshOption{{"ClearAllForwardings", "yes"}, {"ControlMaster", "no"}, {"ControlPath", "none"}}
}

// sshHost is the name by which ssh and its file of known host keys know a VM.
func sshHost(vm vms.VM) string { return "qlaunch-" + vm.Name }

// sshUser gives the user that ssh logs in as: without one in the definition it is the caller, which is ssh's own
// default. It is "" where the system does not know the caller; ssh then refuses to work.
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

// proxyOptions gives the options by which ssh connects through `qlaunch proxy` with the given arguments, which copies
// the bytes, or passes the connection to ssh. ssh then ignores the other options about how to connect: BindAddress,
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
	// ssh has a shell run this, with its tokens expanded.
	command := strings.ReplaceAll(shellescape.QuoteCommand(argv), "%", "%%")
	return []sshOption{{"ProxyCommand", command}, {"ProxyUseFdpass", how}}, nil
}

// optionWords gives options as words of the command line of ssh or scp.
func optionWords(options []sshOption) []string {
	var words []string
	for _, o := range options {
		words = append(words, "-o", o.key+"="+o.value)
	}
	return words
}

// sshPath writes a path as a value of ssh_config(5): quoted, its quotes and backslashes escaped (argv_split in
// OpenSSH's misc.c), and with no token to expand. For ${…}, which ssh replaces by a variable of its environment,
// there is no way to be written literally (vdollar_percent_expand there).
func sshPath(path string) (string, error) {
	switch {
	case strings.Contains(path, "${"):
		return "", fmt.Errorf("%s: ssh would replace ${…} in it by a variable", path)
	case strings.ContainsFunc(path, unicode.IsControl):
		return "", fmt.Errorf("%q: holds a control character, which ssh's configuration cannot", path)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`).Replace(path) + `"`, nil
}

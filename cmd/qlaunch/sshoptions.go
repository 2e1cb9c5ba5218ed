package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/qlaunch/qlaunch/vms"
)

// sshOption is a keyword of ssh_config(5) and its value.
type sshOption struct{ key, value string }

// sshOptions is how ssh, and all that works through ssh, talks to a VM. Each of them overrides what the user's own configuration
// says for all hosts, since the first value counts (ssh_config(5)): where a connection goes, as whom, with which host key,
// what runs in the guest, and what the guest gets of the host's. The user's agents, keys, certificates, algorithms, environment
// and log level are his own. What a flag of ssh says (-A, -X, -t, -N, -l, -p) overrides these options in turn.
//
// The host key is kept under the VM's name, in a file of the VM's own: an
// address that goes to another VM later, or a VM that is made anew, alarms nobody, and a wrong key is refused.
func (s *session) sshOptions(ctx context.Context, vm vms.VM) ([]sshOption, error) {
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
		{"HashKnownHosts", "no"}, // there is one name in the file, and no secret
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
			sshOption{"PreferredAuthentications", "publickey,keyboard-interactive,password"}, sshOption{"IdentitiesOnly", "yes"}, sshOption{"IdentityFile", identity})
	}
	if user := s.sshUser(ctx, vm); user != "" {
		options = append(options, sshOption{"User", user})
	}
	return append(options, sshOption{"Port", fmt.Sprint(vm.SSH.Port)}), nil
}

// ownSession are the options of an ssh or scp that qlaunch runs itself. No flag of the user's can ask for a forward or for a
// connection that is shared, so whatever does is meant for other hosts.
func ownSession() []sshOption {
	return []sshOption{{"ClearAllForwardings", "yes"}, {"ControlMaster", "no"}, {"ControlPath", "none"}}
}

// sshHost is the name by which ssh and its file of known host keys know a VM.
func sshHost(vm vms.VM) string { return "qlaunch-" + vm.Name }

// sshUser is whom ssh logs in as: without a user in the definition the one who calls, which is ssh's own default.
// It is empty where the system does not know that user; ssh refuses to work for one that it does not know.
func (s *session) sshUser(ctx context.Context, vm vms.VM) string {
	if vm.SSH.User != "" {
		return vm.SSH.User
	}
	who, err := findAccount(ctx, s.store.UID)
	if err != nil {
		return ""
	}
	return who.Username
}

// proxyOptions have ssh connect through a qlaunch proxy with the given arguments: as a relay, or as the one that hands ssh the
// connection over. Nothing else that says how to connect counts then: BindAddress, AddressFamily, ProxyJump.
func (s *session) proxyOptions(pass bool, args ...string) ([]sshOption, error) {
	if s.executable == "" {
		return nil, errors.New("the path of this program is not known")
	}
	argv := append([]string{s.executable, "proxy"}, args...)
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
	return []sshOption{{"ProxyCommand", strings.ReplaceAll(shellLine(argv), "%", "%%")}, {"ProxyUseFdpass", how}}, nil
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
// backslashes escaped (argv_split in OpenSSH's misc.c), and with no token to expand. For ${…}, which ssh replaces by
// a variable of its environment, there is no way to be written literally (vdollar_percent_expand there).
func sshPath(path string) (string, error) {
	switch {
	case strings.Contains(path, "${"):
		return "", fmt.Errorf("%s: ssh would replace ${…} in it by a variable", path)
	case strings.ContainsFunc(path, unicode.IsControl):
		return "", fmt.Errorf("%q: holds a control character, which ssh's configuration cannot", path)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`).Replace(path) + `"`, nil
}

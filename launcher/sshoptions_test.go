package launcher

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qlaunch/qlaunch/vms"
)

// hostileOption is a line of ~/.ssh/config for all hosts that must not count for a VM, and how ssh -G shows that it does.
type hostileOption struct{ line, shown string }

// hostileEverywhere count neither for qlaunch ssh and cp nor for an ssh that has read the VM's entry first.
func hostileEverywhere() []hostileOption {
	return []hostileOption{
		// Where to.
		{"HostName evil.example", "hostname evil.example"},
		{"Port 2022", "port 2022"},
		{"ProxyCommand nc evil.example 22", "proxycommand nc evil.example 22"},
		{"ProxyJump evil.example", "proxyjump evil.example"},
		{"CanonicalizeHostname always", "canonicalizehostname always"},
		// As whom.
		{"User mallory", "user mallory"},
		{"PubkeyAuthentication no", "pubkeyauthentication false"},
		// With which host key.
		{"HostKeyAlias evil", "hostkeyalias evil"},
		{"UserKnownHostsFile /dev/null", "userknownhostsfile /dev/null"},
		{"GlobalKnownHostsFile /evil", "globalknownhostsfile /evil"},
		{"KnownHostsCommand /bin/evil", "knownhostscommand /bin/evil"},
		{"StrictHostKeyChecking no", "stricthostkeychecking false"},
		{"StrictHostKeyChecking ask", "stricthostkeychecking ask"},
		{"VerifyHostKeyDNS yes", "verifyhostkeydns true"},
		{"NoHostAuthenticationForLocalhost yes", "nohostauthenticationforlocalhost yes"},
		{"UpdateHostKeys yes", "updatehostkeys true"},
		{"CheckHostIP yes", "checkhostip yes"},
		{"HashKnownHosts yes", "hashknownhosts yes"},
		// What runs there, and what of it arrives.
		{"RemoteCommand id", "remotecommand id"},
		{"RequestTTY force", "requesttty force"},
		{"RequestTTY no", "requesttty false"},
		{"SessionType none", "sessiontype none"},
		{"StdinNull yes", "stdinnull yes"},
		{"ForkAfterAuthentication yes", "forkafterauthentication yes"},
		{"PermitLocalCommand yes", "permitlocalcommand yes"},
		// What of the host's the guest gets.
		{"ForwardAgent yes", "forwardagent yes"},
		{"ForwardX11 yes", "forwardx11 yes"},
		{"Tunnel yes", "tunnel point-to-point"},
		// By a condition.
		{"Match exec true\nUser mallory", "user mallory"},
		{"Match final host qlaunch-*\nUser mallory", "user mallory"},
	}
}

// hostileToOurOwn do not count for qlaunch ssh and cp. An entry leaves them to the user: no value that stands before takes a forward
// back but one that takes those of the command line back too, and a connection that is shared is what some want.
func hostileToOurOwn() []hostileOption {
	return []hostileOption{
		{"LocalForward 9999 evil.example:1", "localforward 9999 [evil.example]:1"},
		{"RemoteForward 9999 localhost:631", "remoteforward 9999 [localhost]:631"},
		{"DynamicForward 9999", "dynamicforward 9999"},
		{"ControlMaster auto", "controlmaster auto"},
		{"ControlPath /tmp/one-for-all", "controlpath /tmp/one-for-all"},
	}
}

// usersOwn count: they say how a connection is made, not which.
func usersOwn() []hostileOption {
	return []hostileOption{
		{"IdentityAgent /run/agent", "identityagent /run/agent"},
		{"IdentityFile /keys/mine", "identityfile /keys/mine"},
		{"CertificateFile /keys/mine-cert.pub", "certificatefile /keys/mine-cert.pub"},
		{"AddKeysToAgent yes", "addkeystoagent true"},
		{"Ciphers aes256-ctr", "ciphers aes256-ctr"},
		{"Compression yes", "compression yes"},
		{"BatchMode yes", "batchmode yes"},
		{"SendEnv LANG", "sendenv LANG"},
		{"SetEnv A=b", "setenv A=b"},
		{"LogLevel ERROR", "loglevel ERROR"},
		{"ServerAliveInterval 7", "serveraliveinterval 7"},
		{"IgnoreUnknown UseKeychain\nUseKeychain yes", "ignoreunknown UseKeychain"},
	}
}

// sshBehind is what ssh makes of options, and of a line of the user's configuration for all hosts.
func sshBehind(t *testing.T, entry, line string, options ...string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(entry+"Host *\n"+line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	argv := slices.Concat([]string{"-F", file}, options, []string{"-G", "qlaunch-web"})
	if !strings.HasPrefix(line, "RemoteCommand") {
		argv = append(argv, "true") // without a command ssh refuses to go into the background
	}
	said, err := exec.Command("ssh", argv...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return strings.Split(string(said), "\n")
}

func TestWhatTheUserSaysForAllHosts(t *testing.T) {
	e := &Env{Executable: "/bin/qlaunch", Store: vms.Store{UID: os.Getuid()}}
	vm := vms.VM{Name: "web", DataDir: "/data/web", SSH: vms.SSH{Port: 22, User: "debian", Identity: "/keys/web"}}
	options, err := sshOptions(t.Context(), e, vm)
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := proxyOptions(e, true, "--pass", "--at", "192.0.2.1:22", "web")
	if err != nil {
		t.Fatal(err)
	}
	words := optionWords(slices.Concat(options, ownSession(), proxy))
	entry, err := sshEntry(t.Context(), e, vm, "web", "qlaunch-web")
	if err != nil {
		t.Fatal(err)
	}
	check := func(o hostileOption, how string, got []string, counts bool) {
		if slices.Contains(got, o.shown) != counts {
			t.Errorf("%s %s: counts: %v", o.line, how, !counts)
		}
	}
	for _, o := range hostileEverywhere() {
		check(o, "alone", sshBehind(t, "", o.line), true)
		check(o, "with qlaunch ssh", sshBehind(t, "", o.line, words...), false)
		check(o, "behind an entry", sshBehind(t, entry, o.line), false)
	}
	for _, o := range hostileToOurOwn() {
		check(o, "alone", sshBehind(t, "", o.line), true)
		check(o, "with qlaunch ssh", sshBehind(t, "", o.line, words...), false)
		check(o, "behind an entry", sshBehind(t, entry, o.line), true)
	}
	for _, o := range usersOwn() {
		check(o, "with qlaunch ssh", sshBehind(t, "", o.line, words...), true)
		check(o, "behind an entry", sshBehind(t, entry, o.line), true)
	}
}

// Flags of the user's own ssh win over an entry.
func TestAFlagOfSSHWinsOverAnEntry(t *testing.T) {
	e := &Env{Executable: "/bin/qlaunch", Store: vms.Store{UID: os.Getuid()}}
	entry, err := sshEntry(t.Context(), e, vms.VM{Name: "web", DataDir: "/data/web", SSH: vms.SSH{Port: 22}}, "qlaunch-web")
	if err != nil {
		t.Fatal(err)
	}
	for flags, want := range map[string]string{
		"-A":              "forwardagent yes",
		"-X":              "forwardx11 yes",
		"-tt":             "requesttty force",
		"-N":              "sessiontype none",
		"-f":              "forkafterauthentication yes",
		"-n":              "stdinnull yes",
		"-l root":         "user root",
		"-p 2022":         "port 2022",
		"-L 9999:other:1": "localforward 9999 [other]:1",
	} {
		if got := sshBehind(t, entry, "", strings.Fields(flags)...); !slices.Contains(got, want) {
			t.Errorf("%s: no %q in %q", flags, want, got)
		}
	}
}

// ssh expands the tokens of a ProxyCommand, and a shell reads it.
func TestALinkLocalAddressReachesTheProxyAsItIs(t *testing.T) {
	e := &Env{Executable: "/bin/echo"}
	options, err := proxyOptions(e, false, "--at", "[fe80::1%virbr0]:2222", "web")
	if err != nil {
		t.Fatal(err)
	}
	argv := append([]string{"-v", "-F", "/dev/null"}, optionWords(options)...)
	said, _ := exec.Command("ssh", append(argv, "web")...).CombinedOutput() // which shows what comes in place of a greeting
	if !strings.Contains(string(said), "banner line 0: proxy --at [fe80::1%virbr0]:2222 web") {
		t.Errorf("%s", said)
	}
}

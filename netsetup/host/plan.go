package host

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/qlaunch/qlaunch/netsetup"
)

// Plan is everything that root must do to make the host what is wanted, in its order; nothing to do is an empty plan.
// It is pure. Undoing a step is setting its item back to From.
func Plan(spec Spec, facts Facts) []Step {
	p := planner{spec: spec, facts: facts}
	p.forwarding()
	p.access()
	p.helper()
	if spec.Own {
		p.values = spec.values(facts)
		p.unmanageBridge()
		p.network()
		p.services()
	}
	return p.steps
}

// plannedItems are all that a plan could change, in its order: what is to be looked at before [Plan].
func plannedItems(spec Spec, facts Facts) []Item {
	facts.States = nil
	return itemsOf(Plan(spec, facts))
}

// runtimeItems are those of them that [runtimeSteps] is about.
func runtimeItems(spec Spec, facts Facts) []Item {
	facts.States = nil
	return itemsOf(runtimeSteps(Plan(spec, facts)))
}

func itemsOf(steps []Step) []Item {
	items := make([]Item, len(steps))
	for i, s := range steps {
		items[i] = s.Item
	}
	return items
}

// runtimeSteps are those steps of a plan that a boot, or the restart of a firewall, takes back.
func runtimeSteps(steps []Step) []Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s Step) bool { return !kinds()[s.Kind].runtime })
}

// A planner collects the steps that are still to be done.
type planner struct {
	spec   Spec
	facts  Facts
	values map[string]any
	steps  []Step
}

// item adds a step, unless the item is as it should be.
func (p *planner) item(kind Kind, name, to, why string, then ...string) {
	i := Item{kind, name}
	from := p.facts.States[i]
	if i.same(from, to) {
		return
	}
	p.steps = append(p.steps, Step{Item: i, From: from, To: to, Why: why, Then: then, Unseen: p.facts.Unseen[i]})
}

// file adds the steps for a file of ours, and for its directory.
func (p *planner) file(name, state, why string, then ...string) {
	p.directories(path.Dir(name))
	p.item(KindFile, name, state, why, then...)
}

// directories adds those directories down to dir that are not there; so far as a host can lack them.
func (p *planner) directories(dir string) {
	for _, d := range directories() {
		if d == dir || strings.HasPrefix(dir, d+"/") {
			p.item(KindDirectory, d, modeState(0o755, "root", "root"), "directory for the file below")
		}
	}
}

// directories are those that a host can lack.
func directories() []string {
	return []string{"/etc/sysctl.d", "/etc/qemu", path.Dir(aclInclude), "/etc/qlaunch", path.Dir(programPath),
		path.Dir(nmFile), path.Dir(networkFile), path.Dir(zoneFile), path.Dir(policyFile)}
}

// ours is the state of a text of ours that everybody may read.
func ours(text string) string { return fileState(0o644, "root", "root", []byte(text)) }

const ofSetup = "# Written by `qlaunch net setup`.\n"

func (p *planner) forwarding() {
	if !p.spec.Forward {
		return
	}
	// In this order: a boot between the two would set the value by the file, and nobody would know what it was.
	p.item(KindSysctl, ipForward, "1", "the host forwards the guests' packets")
	p.file(sysctlFile, ours(ofSetup+ipForward+" = 1\n"), "the host forwards the guests' packets, also after the next boot")
}

// access lets the users of the group join the bridge.
func (p *planner) access() {
	p.item(KindGroup, Group, present, "who may use the bridge helper")
	for _, user := range p.spec.Users {
		p.item(KindMember, Group+"/"+user, member, user+" may use the bridge helper and /dev/kvm, from the next login on")
	}
	rules := ofSetup + "allow " + strings.Join(p.spec.Bridges, "\nallow ") + "\n"
	access := modeState(0o640, "root", Group)
	if now := mode(p.facts.States[Item{KindFile, aclInclude}]); ofAnother(now) {
		access = now
	}
	p.file(aclInclude, access+"\n"+rules, "the bridge helper lets the group "+Group+" join "+p.spec.Bridge)
	p.item(KindShared, netsetup.DefaultACL, withInclude(p.facts.States[Item{KindShared, netsetup.DefaultACL}]), "the bridge helper reads that file")
}

// includeLine is our line in the ACL.
const includeLine = "include " + aclInclude

// withInclude is the ACL's state with our line in it, and readable for the group: the helper reads it as the user.
func withInclude(state string) string {
	if state == "" {
		return fileState(0o644, "root", "root", []byte(includeLine+"\n"))
	}
	mode, text, _ := strings.Cut(state, "\n")
	if !slices.Contains(strings.Split(text, "\n"), includeLine) {
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		text += includeLine + "\n"
	}
	return readable(mode) + "\n" + text
}

// withoutInclude is a state of the ACL without our line, whatever else has become of it.
func withoutInclude(state string) string {
	mode, text, _ := strings.Cut(state, "\n")
	lines := strings.SplitAfter(text, "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.TrimSuffix(line, "\n") == includeLine })
	return mode + "\n" + strings.Join(lines, "")
}

// readable is the state of a mode that the group can read under. One that everybody can stays as it is, and one of
// another group, which an administrator has chosen.
func readable(mode string) string {
	bits, owner, _, err := parseMode(mode)
	if err != nil || bits&0o004 != 0 || ofAnother(mode) {
		return mode
	}
	return fmt.Sprintf("%04o %s:%s", bits|0o040, owner, Group)
}

// ofAnother says of a mode whether it is that of a file that is for another group than root's own and ours.
func ofAnother(mode string) bool {
	_, _, group, err := parseMode(mode)
	return err == nil && group != "root" && group != Group
}

// parseMode reads a [modeState].
func parseMode(mode string) (bits uint32, owner, group string, err error) {
	_, err = fmt.Sscanf(strings.ReplaceAll(mode, ":", " "), "%o %s %s", &bits, &owner, &group)
	return bits, owner, group, err
}

// helper makes the bridge helper setuid for the group. One that has its privilege already, from a distribution or an
// administrator, stays as it is.
func (p *planner) helper() {
	name := p.facts.Helper
	mode := p.facts.States[Item{KindMode, name}]
	wanted := "4750 root:" + Group
	if strings.HasPrefix(mode, "4") && strings.Contains(mode, " root:") && mode != wanted {
		return
	}
	if p.facts.Dpkg && p.facts.States[Item{KindOverride, name}] == "" { // an administrator's own stays
		p.item(KindOverride, name, "root "+Group+" 4750", "the next upgrade of its package keeps the mode")
	}
	p.item(KindMode, name, wanted, "the bridge helper makes taps as root, for the group "+Group+" alone")
}

// unmanageBridge has the programs that manage networks leave the bridge alone.
func (p *planner) unmanageBridge() {
	b := p.spec.Bridge
	if p.facts.NetworkManager {
		p.file(nmFile, ours(ofSetup+"[keyfile]\nunmanaged-devices+=interface-name:"+b+"\n"), "NetworkManager leaves the bridge alone",
			reread("NetworkManager.service")...)
	}
	if p.facts.Networkd {
		p.file(networkFile, ours(ofSetup+"[Match]\nName="+b+"\n\n[Link]\nUnmanaged=yes\n"), "systemd-networkd leaves the bridge alone",
			reread("systemd-networkd.service")...)
	}
}

// reread has a service read its files again, if it runs.
func reread(unit string) []string { return []string{"systemctl", "try-reload-or-restart", unit} }

// network is the bridge and the firewall around it: what `net apply` puts back.
func (p *planner) network() {
	b := bridgeState{Up: true, MAC: bridgeMAC(p.facts.MachineID, p.spec.Bridge), Addrs: p.addrs(), AcceptRA: "0"}
	p.item(KindBridge, p.spec.Bridge, b.String(), "the guests' bridge, with the host's address on it; no guest's router advertisement gives the host a route")
	p.item(KindTable, "ip qlaunch", stamped(fill("ip.nft", p.values)), "guests go out under the host's address")
	p.item(KindTable, "inet qlaunch", stamped(fill("inet.nft", p.values)), p.reachWhy())
	p.item(KindTable, "bridge qlaunch", stamped(fill("bridge.nft", p.values)), p.betweenWhy())
	if p.facts.IPTables != "" {
		p.item(KindFilter, "filter", withChains(p.facts.States[Item{KindFilter, "filter"}]), "what the next two are in")
		for _, c := range p.chains() {
			p.item(KindChain, c.name, c.rules, c.why)
		}
	}
	if p.facts.Firewalld {
		p.file(zoneFile, ours(fill("zone.xml", p.values)), "firewalld lets the guests have DHCP and DNS, and go out",
			"firewall-cmd", "--reload")
		p.file(policyFile, ours(fill("policy.xml", p.values)), "firewalld lets other networks reach the guests where setup was asked to",
			"firewall-cmd", "--reload")
		p.item(KindZone, p.spec.Bridge, "qlaunch", "firewalld's rules for the bridge count from now on")
	}
}

// addrs are the bridge's IPv4 addresses: ours, and those that somebody gave it beside the one of an earlier setup.
func (p *planner) addrs() []netip.Prefix {
	addrs := []netip.Prefix{p.spec.Subnet}
	b, _ := p.facts.bridge(p.spec.Bridge) // one that is not there has none
	for _, a := range b.Addrs {
		if a.Addr().Is4() && a != p.spec.Subnet && a != p.facts.Previous.Subnet {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// reachWhy says what the rules between the guests and all that is not on their bridge are for.
func (p *planner) reachWhy() string {
	host, inbound := "guests reach DHCP, DNS and ping of the host alone", "no other network opens connections to them"
	if p.spec.HostAccess {
		host = "guests reach every service of the host"
	}
	if p.spec.Inbound {
		inbound = "other networks may open connections to them"
	}
	return host + ", send under addresses of their own alone, and " + inbound
}

func (p *planner) betweenWhy() string {
	why := "no guest plays the router or the DHCP server for another"
	if p.spec.Isolate {
		why = "no guest reaches another"
	}
	if !p.facts.BridgeMeta {
		why += ", on any bridge: this kernel's nft cannot name one"
	}
	return why
}

// withChains is the state of iptables' table with those of its chains that lead to ours.
func withChains(state string) string {
	chains := strings.Fields(strings.TrimPrefix(state, filterHas))
	return filterState(append(chains, "FORWARD", "INPUT")...)
}

type chain struct{ name, rules, why string }

// chains are what lets the guests' packets through where iptables' policy is to drop: Docker's, ufw's. An accept in a
// table of nft's own does not override that.
func (p *planner) chains() []chain {
	b := p.spec.Bridge
	rules := func(name, from string, rules ...string) string {
		lines := []string{"-A " + from + " -j " + name}
		for _, r := range rules {
			lines = append(lines, "-A "+name+" "+r)
		}
		return strings.Join(lines, "\n")
	}
	back := "-o " + b + " -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
	if p.spec.Inbound {
		back = "-o " + b + " -j ACCEPT"
	}
	services := []string{
		"-i " + b + " -p udp -m udp --dport 67 -j ACCEPT",
		"-i " + b + " -p udp -m udp --dport 53 -j ACCEPT",
		"-i " + b + " -p tcp -m tcp --dport 53 -j ACCEPT",
		"-i " + b + " -p icmp -m icmp --icmp-type 8 -j ACCEPT",
	}
	if p.spec.HostAccess {
		services = []string{"-i " + b + " -j ACCEPT"}
	}
	return []chain{
		{"QLAUNCH-FORWARD/FORWARD", rules("QLAUNCH-FORWARD", "FORWARD", "-i "+b+" -j ACCEPT", back),
			"guests go out also where iptables' policy is to drop, as Docker's and ufw's is"},
		{"QLAUNCH-INPUT/INPUT", rules("QLAUNCH-INPUT", "INPUT", services...),
			"guests reach what they may of the host also there"},
	}
}

// services are DHCP and DNS, and the units that bring all of it back at a boot.
func (p *planner) services() {
	config := netsetup.DNSConfig(p.spec.Bridge)
	p.file(config, ours(fill("dnsmasq.conf", p.values)), "DHCP and DNS for the guests, by a dnsmasq of their own")
	if !p.facts.Systemd {
		p.starts(KindDaemon, config, running, "DHCP and DNS for the guests", config)
		return
	}
	p.directories(path.Dir(programPath))
	p.item(KindProgram, programPath, p.facts.Program, "what root's unit runs is root's own file")
	reload := []string{"systemctl", "daemon-reload"}
	p.file(unitDir+netsetup.NetUnit, ours(fill("net.service", p.values)), "each boot brings the bridge and its rules back", reload...)
	p.file(unitDir+reloadUnit, ours(fill("again.service", p.values)), "so does each start of a firewall", reload...)
	p.file(unitDir+dhcpUnit, ours(fill("dhcp.service", p.values)), "each boot starts DHCP and DNS", reload...)
	p.starts(KindUnit, netsetup.NetUnit, unitActive, "it runs from now on", unitDir+netsetup.NetUnit, programPath)
	p.starts(KindUnit, reloadUnit, unitIdle, "it is called from now on", unitDir+reloadUnit)
	p.starts(KindUnit, dhcpUnit, unitActive, "DHCP and DNS from now on", unitDir+dhcpUnit, config)
}

// starts adds the step that starts a unit or a daemon, or starts it again when one of its files changes in this plan.
func (p *planner) starts(kind Kind, name, to, why string, files ...string) {
	changes := slices.ContainsFunc(p.steps, func(s Step) bool { return s.Kind != kind && slices.Contains(files, s.Name) })
	i := Item{kind, name}
	if !changes {
		p.item(kind, name, to, why)
		return
	}
	p.steps = append(p.steps, Step{Item: i, From: p.facts.States[i], To: to, Why: why, Unseen: p.facts.Unseen[i]})
}

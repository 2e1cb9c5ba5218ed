package host

import (
	"context"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// lookTable is the ruleset of a table named "FAMILY NAME".
func lookTable(ctx context.Context, name string) (string, error) {
	if program("nft") == "" {
		return "", nil
	}
	out, _, err := answers(ctx, append([]string{"nft", "--stateless", "list", "table"}, strings.Fields(name)...)...)
	return out, err
}

// setTable replaces a table in one transaction, nft(8): adding it first lets the deletion succeed where there is none.
func setTable(ctx context.Context, name, ruleset string) error {
	if program("nft") == "" && ruleset == "" {
		return nil
	}
	_, err := run(ctx, "add table "+name+"\ndelete table "+name+"\n"+ruleset, "nft", "-f", "-")
	return err
}

// knowsBridgeMeta asks the kernel whether a rule can name the bridge that a frame is on.
func knowsBridgeMeta(ctx context.Context) bool {
	_, err := run(ctx, "table bridge qlaunch_probe { chain c { meta ibrname \"x\" accept; }; }\n", "nft", "--check", "-f", "-")
	return err == nil
}

// lookFilter is a [filterState]. The older iptables, which is not nft's, always has all.
func lookFilter(ctx context.Context, name string) (string, error) {
	if program("iptables") == "" {
		return "", nil
	}
	if program("nft") == "" || !ofNft(ctx) {
		return filterState("FORWARD", "INPUT", "OUTPUT"), nil
	}
	rules, there, err := answers(ctx, "nft", "--stateless", "list", "table", "ip", name)
	if err != nil || !there {
		return "", err
	}
	var chains []string
	for _, m := range baseChain.FindAllStringSubmatch(rules, -1) {
		chains = append(chains, m[1])
	}
	return filterState(chains...), nil
}

// baseChain is how nft lists a chain that the kernel itself calls.
var baseChain = regexp.MustCompile(`(?m)^\tchain (\S+) \{\n\t\ttype `)

// emptyChain is one of those that does nothing.
func emptyChain(rules, chain string) bool {
	empty := regexp.MustCompile(`(?m)^\tchain ` + regexp.QuoteMeta(chain) + ` \{\n\t\ttype [^\n]*; policy accept;\n\t\}$`)
	return empty.MatchString(rules)
}

// ofNft says whether iptables is the one that is made of nft.
func ofNft(ctx context.Context) bool {
	version, _, err := answers(ctx, "iptables", "--version")
	return err == nil && strings.Contains(version, "nf_tables")
}

// setFilter removes what came into the table with our chains, as far as nothing else has come into it since. What is
// not there yet comes with our chains.
func setFilter(ctx context.Context, name, state string) error {
	if program("nft") == "" || !ofNft(ctx) {
		return nil
	}
	rules, there, err := answers(ctx, "nft", "--stateless", "list", "table", "ip", name)
	if err != nil || !there {
		return err
	}
	var commands []string
	for _, m := range baseChain.FindAllStringSubmatch(rules, -1) {
		if !slices.Contains(strings.Fields(state), m[1]) && emptyChain(rules, m[1]) {
			commands = append(commands, "delete chain ip "+name+" "+m[1])
		}
	}
	if state == "" && len(commands) == strings.Count(rules, "\tchain ") {
		commands = append(commands, "delete table ip "+name)
	}
	_, err = run(ctx, strings.Join(commands, "\n")+"\n", "nft", "-f", "-")
	return err
}

// lookChain is what iptables has of a chain named CHAIN/FROM: the jump, then its rules.
func lookChain(ctx context.Context, name string) (string, error) {
	if program("iptables") == "" {
		return "", nil
	}
	chain, from, _ := strings.Cut(name, "/")
	out, err := run(ctx, "", "iptables", "--wait", "-S")
	if err != nil {
		return "", err
	}
	var lines []string
	declared := ""
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		switch {
		case line == "-N "+chain:
			declared = line
		case line == "-A "+from+" -j "+chain, strings.HasPrefix(line, "-A "+chain+" "):
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return declared, nil
	}
	return strings.Join(lines, "\n"), nil
}

// setChain replaces a chain, and the jump to it, which is to stand first, in one transaction: iptables-restore(8).
func setChain(ctx context.Context, name, state string) error {
	chain, from, _ := strings.Cut(name, "/")
	now, err := lookChain(ctx, name)
	if err != nil || now == "" && state == "" {
		return err
	}
	jump := "-A " + from + " -j " + chain
	lines := []string{"*filter", ":" + chain + " - [0:0]"} // declared: made, or emptied
	for line := range strings.Lines(now) {
		if strings.TrimSpace(line) == jump {
			lines = append(lines, "-D "+from+" -j "+chain)
		}
	}
	for line := range strings.Lines(state) {
		switch line = strings.TrimSpace(line); line {
		case jump:
			lines = append(lines, "-I "+from+" 1 -j "+chain)
		default:
			lines = append(lines, line)
		}
	}
	if state == "" {
		lines = append(lines, "-X "+chain)
	}
	lines = append(lines, "COMMIT", "")
	_, err = run(ctx, strings.Join(lines, "\n"), "iptables-restore", "--wait", "--noflush")
	return err
}

// lookZone is firewalld's zone of an interface.
func lookZone(ctx context.Context, name string) (string, error) {
	if program("firewall-cmd") == "" {
		return "", nil
	}
	out, _, err := answers(ctx, "firewall-cmd", "--get-zone-of-interface="+name)
	return strings.TrimSpace(out), err
}

// setZone has firewalld read its zones anew: which interface is in which is in their files.
func setZone(ctx context.Context, _, state string) error {
	if state == "" {
		return nil // the file's going takes the zone along
	}
	_, err := run(ctx, "", "firewall-cmd", "--reload")
	return err
}

// filterState is the state of iptables' table: those of its own chains that are there.
func filterState(chains ...string) string {
	chains = slices.Compact(slices.Sorted(slices.Values(chains)))
	return strings.Join(append([]string{filterHas}, chains...), " ")
}

const filterHas = "has"

// stamped is a ruleset of nft's with a comment at each rule, made of that rule: nft prints a ruleset in words of its
// own that change with its version, but a comment as it is. So what is loaded can be told from what should be.
func stamped(ruleset string) string {
	var b strings.Builder
	for line := range strings.Lines(ruleset) {
		rule := strings.TrimSpace(line)
		if strings.HasPrefix(line, "\t\t") && !strings.HasPrefix(rule, "type ") {
			sum := sha256.Sum256([]byte(rule))
			line = fmt.Sprintf("\t\t%s comment \"qlaunch-%x\"\n", rule, sum[:4])
		}
		b.WriteString(line)
	}
	return b.String()
}

var stamp = regexp.MustCompile(`qlaunch-[0-9a-f]{8}`)

// sameStamps says whether two rulesets that are there have the same comments.
func sameStamps(a, b string) bool {
	return a != "" && b != "" && slices.Equal(stamp.FindAllString(a, -1), stamp.FindAllString(b, -1))
}

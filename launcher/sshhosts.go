package launcher

import (
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qlaunch/qlaunch/vms"
)

// sshIncludeDepth is the maximal depth of Include in OpenSSH (READCONF_MAX_DEPTH in its readconf.c).
const sshIncludeDepth = 16

// sshConfig parses as much of an ssh_config(5) as is needed to know for which host names it has entries.
type sshConfig struct {
	home string
	ours string // the value of qlaunch's own Include, which is not read
}

// hasEntry reports whether a file, or one that it includes, has an entry of its own for a host: a Host or Match line
// with a pattern that matches the name and is not all wildcards. A file that does not exist or cannot be read has
// none.
func (c sshConfig) hasEntry(file, host string) bool {
	return c.hasEntryAt(file, filepath.Dir(file), host, 0)
}

// hasEntryAt is hasEntry for a file at a depth of inclusion. Relative paths are relative to the same directory at
// every depth, ~/.ssh or /etc/ssh.
func (c sshConfig) hasEntryAt(file, base, host string, depth int) bool {
	text, err := vms.ReadFile(file)
	if err != nil || depth > sshIncludeDepth {
		return false
	}
	for line := range strings.Lines(string(text)) {
		keyword, words := sshWords(line)
		switch keyword {
		case "host":
			if matchesHost(words, host) {
				return true
			}
		case "match": // ssh ignores the case of patterns here, but not in a Host line
			if matchesHost(strings.Fields(strings.ToLower(strings.Join(hostCriteria(words), " "))), host) {
				return true
			}
		case "include":
			hasIt := func(f string) bool { return c.hasEntryAt(f, base, host, depth+1) }
			if slices.ContainsFunc(c.included(words, base), hasIt) {
				return true
			}
		}
	}
	return false
}

// included returns the files that an Include names.
func (c sshConfig) included(words []string, dir string) []string {
	var files []string
	for _, word := range words {
		if word == c.ours {
			continue
		}
		if rest, ok := strings.CutPrefix(word, "~/"); ok {
			word = filepath.Join(c.home, rest)
		}
		if !filepath.IsAbs(word) {
			word = filepath.Join(dir, word)
		}
		found, _ := filepath.Glob(word) // a bad pattern matches nothing
		files = append(files, found...)
	}
	return files
}

// sshWords splits a line into its keyword, in lower case, and its arguments, which may be quoted.
func sshWords(line string) (keyword string, words []string) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", nil
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return strings.ToLower(line), nil
	}
	keyword = strings.ToLower(line[:end])
	rest := strings.TrimPrefix(strings.TrimLeft(line[end:], " \t"), "=")
	var word strings.Builder
	var quote rune
	begun := false
	for _, r := range rest + " " {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, begun = r, true
		case quote == 0 && (r == ' ' || r == '\t'):
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	return keyword, words
}

// hostCriteria returns the patterns of a Match line that apply to the host's name.
func hostCriteria(words []string) []string {
	var patterns []string
	for i, word := range words {
		switch name, value, joined := strings.Cut(word, "="); {
		case !strings.EqualFold(name, "host") && !strings.EqualFold(name, "originalhost"):
		case joined:
			patterns = append(patterns, strings.Split(value, ",")...)
		case i+1 < len(words):
			patterns = append(patterns, strings.Split(words[i+1], ",")...)
		}
	}
	return patterns
}

// matchesHost reports whether patterns (PATTERNS in ssh_config(5)) match a name.
func matchesHost(patterns []string, host string) bool {
	matched := false
	for _, pattern := range patterns {
		pattern, negated := strings.CutPrefix(pattern, "!")
		quoted := strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`).Replace(pattern)
		if ok, err := path.Match(quoted, host); err != nil || !ok {
			continue
		}
		if negated {
			return false
		}
		matched = matched || strings.Trim(pattern, "*?") != ""
	}
	return matched
}

// sshConfigs returns the files that ssh reads, the user's own first.
func sshConfigs(home, root string) []string {
	return []string{filepath.Join(home, ".ssh", "config"), filepath.Join(root, "etc", "ssh", "ssh_config")}
}

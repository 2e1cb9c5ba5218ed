package systemd

import (
	"os"
	"regexp"
	"strings"
)

// breaks matches the directives that, in a user manager, set no_new_privs or create a user namespace, so that a
// setuid program gains no privileges: some with systemd 252, more with 257. The text after the = is the value.
var breaks = regexp.MustCompile(`^((?:NoNewPrivileges|SystemCall\w+|Restrict\w+|LockPersonality|MemoryDenyWriteExecute|` +
	`Protect\w+|Private\w+|\w+Paths|TemporaryFileSystem|RootDirectory|RootImage|MountFlags|DynamicUser))\s*=\s*(.*?)\s*$`)

// Breaker is a line in a unit file that breaks the bridge helper.
type Breaker struct {
	File      string
	Directive string // "NoNewPrivileges="
}

// FindBreaker returns the first line in the unit files that breaks the bridge helper.
func FindBreaker(files []string) (Breaker, bool) {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the manager may be able to read it, so this is not an error
		}
		if directive, ok := breaker(string(text)); ok {
			return Breaker{file, directive}, true
		}
	}
	return Breaker{}, false
}

func breaker(text string) (directive string, ok bool) {
	for line := range strings.Lines(text) {
		found := breaks.FindStringSubmatch(strings.TrimSpace(line))
		if found != nil && !off(found[2]) {
			return found[1] + "=", true
		}
	}
	return "", false
}

// off reports whether a value disables a directive (systemd.syntax(7)).
func off(value string) bool {
	switch strings.ToLower(value) {
	case "", "0", "no", "n", "false", "f", "off":
		return true
	}
	return false
}

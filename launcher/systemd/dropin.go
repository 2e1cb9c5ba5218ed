package systemd

import (
	"os"
	"regexp"
	"strings"
)

// breaks are the directives that, in a user manager, set no_new_privs or make a
// user namespace, by which a setuid program gains nothing: some on systemd 252,
// more on 257. Behind the = is what they are set to.
var breaks = regexp.MustCompile(`^((?:NoNewPrivileges|SystemCall\w+|Restrict\w+|LockPersonality|MemoryDenyWriteExecute|` +
	`Protect\w+|Private\w+|\w+Paths|TemporaryFileSystem|RootDirectory|RootImage|MountFlags|DynamicUser))\s*=\s*(.*?)\s*$`)

// Breaker is a line of a unit file that keeps the bridge helper from its work.
type Breaker struct {
	File      string
	Directive string // "NoNewPrivileges="
}

// FindBreaker gives the first line in some unit files that breaks the bridge helper.
func FindBreaker(files []string) (Breaker, bool) {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // what the manager could read and this process cannot says nothing
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

// off tells a value that switches a directive off (systemd.syntax(7)).
func off(value string) bool {
	switch strings.ToLower(value) {
	case "", "0", "no", "n", "false", "f", "off":
		return true
	}
	return false
}

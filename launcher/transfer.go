package launcher

import (
	"fmt"
	"slices"
	"strings"
)

// transfer is a copy between this host and one VM.
type transfer struct {
	vm      string
	from    bool     // from the VM, else to it
	sources []string // as arguments of scp; those in the VM are without its name
	target  string   // likewise
	flags   []string // scp's
}

// parseTransfer parses paths as they were typed: the last one is the target.
func parseTransfer(paths []string) (transfer, error) {
	if len(paths) < 2 {
		return transfer{}, fmt.Errorf("%s: it goes nowhere: a target is needed", strings.Join(paths, " "))
	}
	typed, last := paths[:len(paths)-1], paths[len(paths)-1]
	t := transfer{target: last, sources: slices.Clone(typed)}
	name, path, toVM := inVM(last)
	if toVM {
		t.vm, t.target = name, path
	}
	for i, source := range typed {
		name, path, isInVM := inVM(source)
		switch {
		case isInVM && toVM:
			return transfer{}, fmt.Errorf("%s and %s: one of them must be a path here", source, last)
		case !isInVM && !toVM:
			return transfer{}, fmt.Errorf("%s and %s: one of them must be in a VM, NAME:PATH", source, last)
		case !isInVM:
			continue
		case i > 0 && name != t.vm:
			return transfer{}, fmt.Errorf("%s and %s: they must be in one VM", typed[0], source)
		}
		t.vm, t.from, t.sources[i] = name, true, path
	}
	return t, nil
}

// inVM splits an argument as scp does: a colon without a slash before it ends a host name, unless it is the first
// character.
func inVM(word string) (name, path string, ok bool) {
	name, path, ok = strings.Cut(word, ":")
	return name, path, ok && name != "" && !strings.Contains(name, "/")
}

// argv returns scp's command line. scp adds -s, which ssh refuses together with a SessionType.
func (t transfer) argv(options []sshOption, host string) []string {
	return t.line(withoutSessionType(options), host, nil)
}

// olderArgv returns scp's command line for its older protocol, in which the guest's shell parses the paths.
func (t transfer) olderArgv(options []sshOption, host string) []string {
	if t.from {
		t.sources = slices.Clone(t.sources)
		for i, path := range t.sources {
			t.sources[i] = shellPath(path, "*?[]~")
		}
	} else {
		t.target = shellPath(t.target, "~")
	}
	return t.line(options, host, []string{"-O"})
}

func (t transfer) line(options []sshOption, host string, flags []string) []string {
	argv := append([]string{"scp"}, flags...)
	argv = append(argv, optionWords(options)...)
	argv = append(append(argv, t.flags...), "--")
	target := t.target
	if !t.from {
		target = host + ":" + target
	}
	for _, source := range t.sources {
		if t.from {
			source = host + ":" + source
		}
		argv = append(argv, source)
	}
	return append(argv, target)
}

// shellPath quotes a path for a shell, except for the characters in kept. scp compares the names that it receives
// with those that it requested, and accepts only a backslash as a quote in that comparison (fnmatch(3)).
func shellPath(path, kept string) string {
	var b strings.Builder
	for i := range len(path) { // bytes, since a name need not be UTF-8
		r := path[i]
		plain := r >= 0x80 || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' ||
			strings.IndexByte("_-./,:=+@%", r) >= 0
		if !plain && (strings.IndexByte(kept, r) < 0 || r == '~' && i > 0) {
			b.WriteByte('\\')
		}
		b.WriteByte(r)
	}
	return b.String()
}

// withoutSessionType returns options for an ssh with -s, which is a session type itself.
func withoutSessionType(options []sshOption) []sshOption {
	return slices.DeleteFunc(slices.Clone(options), func(o sshOption) bool { return o.key == "SessionType" })
}
